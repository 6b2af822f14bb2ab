-- Ask a provider about a payment once, however many hints ask for it. A hint that comes while the answer is on its way
-- touches the row: the answer may be older than what it hints at, so the dispatcher asks once more.
insert into refetches (provider, account, ref, reason)
select n.provider, n.account, n.ref, n.reason
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n (provider, account, ref, reason)
order by n.provider, n.account, n.ref
on conflict (provider, account, ref) where status = 'queued' do update set updated_at = clock_timestamp()
