-- The naive contender: find and lock the payment that any of these references is bound to.
select p.id, p.provider, p.account, p.provider_ref, p.client, p.reference, p.phone, p.merged_into, p.currency, p.version,
    p.facts, p.head_hash, p.head_xid, p.merchant_account, p.livemode, p.intent_id, p.flags
from payments p
where p.id in (
    select r.payment_id
    from unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[])
        as n (provider, account, merchant_account, livemode, kind, ref)
    join payment_refs r using (provider, account, merchant_account, livemode, kind, ref))
for no key update
