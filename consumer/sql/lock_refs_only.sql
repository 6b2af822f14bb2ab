-- Lock references in the order that is the same for all, and nothing else; return the transaction's id. $1-$6 references.
with locked as materialized (
    select r.ref
    from unnest(
        $1::text::text[], $2::text::text[], $3::text::text[], $4::text::boolean[], $5::text::text[], $6::text::text[])
        as n (provider, account, merchant_account, livemode, kind, ref)
    join payment_refs r using (provider, account, merchant_account, livemode, kind, ref)
    order by n.provider collate "C", n.account collate "C", n.merchant_account collate "C", n.livemode,
        n.kind collate "C", n.ref collate "C"
    for no key update of r
)
select pg_current_xact_id()::text::bigint as xid, count(*) from locked
