-- Which payments stand under ids that many may share, $1-$4; an order has at most as many as it has purchase units.
-- `offset 0` keeps a look-up one of an index, as in lock_refs.sql.
select g.provider, g.account, g.livemode, g.ref, r.payment_id
from unnest($1::text::text[], $2::text::text[], $3::text::boolean[], $4::text::text[])
    as g (provider, account, livemode, ref)
join lateral (
    select payment_id from reference_payments r
    where r.ref = g.ref and r.kind = 'shared' and r.provider = g.provider and r.account = g.account
        and r.livemode = g.livemode
    offset 0
) r on true
order by r.payment_id
