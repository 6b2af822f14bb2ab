-- Note what executors answered to commands that came by the API: $1 payments, $2 commands, $3 states, $4 reasons. A later
-- state stands against an earlier one, however they come.
update intent_claims as claim
set state = n.state, refusal = n.refusal
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as n (payment_id, command_id, state, refusal)
where
    claim.payment_id = n.payment_id and claim.event_id = n.command_id and claim.command <> 'create'
    and coalesce(array_position('{accepted,refused,done}', claim.state), 0) < array_position('{accepted,refused,done}', n.state)
