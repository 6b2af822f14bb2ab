-- The newest $1 commands; $2 seconds after its expiry the money of one that nobody ended is free.
select
    payment_id, command_id, command, provider, account, livemode, provider_ref, currency, amount, client,
    coalesce(state, 'asked') as state, refusal, asked_at, expires_at,
    expires_at + make_interval(secs => $2) as free_at,
    expires_at + make_interval(secs => $2) <= clock_timestamp() as free
from commands
order by id desc
limit $1
