-- $1 payment id, $2 seconds for which a request counts that the consumer has not taken on, $3 seconds after its expiry for
-- which a command counts that nobody ended. What was refused does not count, and what was carried out always does.
select command, amount, seen, attempt_id
from (
    select command, amount, seen, attempt_id, created_at as asked_at
    from intent_claims as claim
    where
        payment_id = $1 and command <> 'create' and state is distinct from 'refused'
        and created_at > now() - make_interval(secs => $2)
        and not exists (
            select from commands where commands.payment_id = claim.payment_id and commands.command_id = claim.event_id
        )
    union all
    select
        commands.command, commands.amount, commands.seen, coalesce(payments.merged_into, commands.attempt_id),
        commands.asked_at
    from commands
    left join payments on payments.id = commands.attempt_id
    where
        commands.payment_id = $1
        and (
            commands.state = 'done'
            or (commands.state is distinct from 'refused' and commands.expires_at > now() - make_interval(secs => $3))
        )
) as asked
order by asked_at
