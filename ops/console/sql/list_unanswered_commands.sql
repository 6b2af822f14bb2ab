-- $1 commands that expired without an answer that ends them, the oldest first; their money is free $2 seconds later.
select
    payment_id, command_id, command, provider, account, livemode, provider_ref, currency, amount, client,
    coalesce(state, 'asked') as state, refusal, asked_at, expires_at,
    expires_at + make_interval(secs => $2) as free_at,
    expires_at + make_interval(secs => $2) <= clock_timestamp() as free
from commands
where (state is null or state = 'accepted') and expires_at <= clock_timestamp()
order by expires_at
limit $1
