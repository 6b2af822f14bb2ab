-- Note payments whose money a bank may still take back by itself: $1 providers, $2 accounts, $3 references, $4 days.
insert into debits (provider, account, ref, until)
select n.provider, n.account, n.ref, clock_timestamp() + make_interval(days => n.days)
from unnest($1::text[], $2::text[], $3::text[], $4::integer[]) as n (provider, account, ref, days)
order by n.ref, n.provider, n.account
on conflict do nothing
