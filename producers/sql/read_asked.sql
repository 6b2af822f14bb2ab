-- $1 payment id, $2 seconds for which a request counts that the consumer has not taken on, $3 seconds after its expiry for
-- which a command counts that nobody ended. What was refused does not count, and what was carried out always does. An attempt
-- that was merged since is the one that it turned out to be in the end.
select asked.command, asked.amount, asked.seen, coalesce(survivor.id, asked.attempt_id) as attempt_id
from (
    select command, amount, seen, attempt_id, created_at as asked_at
    from intent_claims as request
    where
        payment_id = $1 and command <> 'create' and state is distinct from 'refused'
        and created_at > now() - make_interval(secs => $2)
        and not exists (
            select from commands where commands.payment_id = request.payment_id and commands.command_id = request.event_id
        )
    union all
    select command, amount, seen, attempt_id, asked_at
    from commands
    where
        payment_id = $1
        and (
            state = 'done'
            or (state is distinct from 'refused' and expires_at > now() - make_interval(secs => $3))
        )
) as asked
left join lateral surviving_payment(asked.attempt_id) as survivor on true
order by asked.asked_at
