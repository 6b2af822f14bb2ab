-- Which parked events wait on these names, or on any name of these payments. Costs nothing while nothing is parked. No
-- locks: whoever takes one out holds all of its names. $1-$6 names, $7 payments, $8 rows, $9 the id to go on after. The
-- offset keeps the join in this order: without statistics the planner reads all that is parked instead.
select p.id, p.topic, p.partition, p."offset", p.timestamp_ms, p.key, p.value, p.header_names, p.header_values,
    p.event_id, p.reason,
    coalesce(
        (select true from payment_logs l where l.source = p.source and l.event_id = p.event_id limit 1), false) as settled
from parked_events p
where (select exists (select from parked_refs))
  and p.id > $9
  and p.id in (
    select w.parked_id
    from unnest(
        $1::text::text[], $2::text::text[], $3::text::text[], $4::text::boolean[], $5::text::text[], $6::text::text[])
        as n (provider, account, merchant_account, livemode, kind, ref)
    join parked_refs w using (provider, account, merchant_account, livemode, kind, ref)
    union
    select w.parked_id
    from unnest($7::text::uuid[]) as h (payment_id)
    join payment_refs r on r.payment_id = h.payment_id
    cross join lateral (
        select w.parked_id
        from parked_refs w
        where w.ref = r.ref and w.kind = r.kind and w.provider = r.provider and w.account = r.account
            and w.merchant_account = r.merchant_account and w.livemode = r.livemode
        offset 0
    ) as w
)
order by p.id
limit $8
