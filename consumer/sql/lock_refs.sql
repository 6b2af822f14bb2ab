-- Lock names in the order given, which is the same for all; what they are bound to holds until the transaction ends.
-- Says the place of each name that a payment has, and the payment.
with locked as materialized (
    select n.place, r.payment_id
    from unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[])
        with ordinality as n (provider, account, kind, ref, place)
    join payment_refs r using (provider, account, kind, ref)
    order by n.place
    for no key update of r
)
select place::integer, payment_id from locked where payment_id is not null
