-- Ask a provider about payments, each one row however often it is asked about. One that is asked about while the answer
-- is on its way touches the row: the answer may be older than what happened, so the dispatcher asks once more. A hint
-- (of a record that is older than the ingress' own queue) counts as one that nobody knows.
insert into refetches (provider, account, ref, reason, known, priority)
select n.provider, n.account, n.ref, n.reason, n.reason <> 'hint', case when n.reason = 'hint' then 9 else 0 end
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n (provider, account, ref, reason)
order by n.ref, n.provider, n.account
on conflict (ref, provider, account) do update
set reason = case when refetches.status = 'queued' then refetches.reason else excluded.reason end,
    status = 'queued',
    attempts = case when refetches.status = 'queued' then refetches.attempts else 0 end,
    next_attempt_at = case when refetches.status = 'queued' then refetches.next_attempt_at else clock_timestamp() end,
    known = refetches.known or excluded.known,
    priority = case
        when refetches.status = 'queued' or refetches.known then least(refetches.priority, excluded.priority)
        else excluded.priority
    end,
    updated_at = clock_timestamp()
