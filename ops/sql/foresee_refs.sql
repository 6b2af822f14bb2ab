-- What consumer/sql/lock_refs.sql reads, without its locks.
select r.provider, r.account, r.merchant_account, r.livemode, r.kind, r.ref, r.payment_id
from unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[])
    as n (provider, account, merchant_account, livemode, kind, ref)
join payment_refs r using (provider, account, merchant_account, livemode, kind, ref)
