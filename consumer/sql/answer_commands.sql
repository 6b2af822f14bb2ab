-- Note what executors answered to commands: $1 payments, $2 commands, $3 states, $4 reasons. A later state stands against
-- an earlier one, however they come. An idempotency record keeps it too: its command may be older than the table of commands.
with n as materialized (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as n (payment_id, command_id, state, refusal)
),
answered as (
    update commands
    set state = n.state, refusal = n.refusal
    from n
    where
        commands.payment_id = n.payment_id and commands.command_id = n.command_id
        and coalesce(array_position('{accepted,refused,done}', commands.state), 0)
            < array_position('{accepted,refused,done}', n.state)
)
update intent_claims as request
set state = n.state, refusal = n.refusal
from n
where
    request.payment_id = n.payment_id and request.event_id = n.command_id and request.command <> 'create'
    and coalesce(array_position('{accepted,refused,done}', request.state), 0) < array_position('{accepted,refused,done}', n.state)
