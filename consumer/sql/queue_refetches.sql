-- Ask a provider about a payment once, however many hints ask for it.
insert into refetches (provider, account, ref, reason)
select n.provider, n.account, n.ref, n.reason
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n (provider, account, ref, reason)
order by n.provider, n.account, n.ref
on conflict (provider, account, ref) where status = 'queued' do nothing
