-- Which parked events wait on these names, or on any name of these payments. Costs nothing while nothing is parked.
select p.id, p.topic, p.partition, p."offset", p.timestamp_ms, p.key, p.value, p.header_names, p.header_values,
    p.event_id, p.reason,
    coalesce(
        (select true from payment_logs l where l.source = p.source and l.event_id = p.event_id limit 1), false) as settled
from parked_events p
where (select exists (select from parked_refs))
  and p.id > $7
  and p.id in (
    select w.parked_id
    from unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[]) as n (provider, account, kind, ref)
    join parked_refs w using (provider, account, kind, ref)
    union
    select w.parked_id
    from payment_refs r
    join parked_refs w using (provider, account, kind, ref)
    where r.payment_id = any($5::text::uuid[])
)
order by p.id
limit $6
for update of p
