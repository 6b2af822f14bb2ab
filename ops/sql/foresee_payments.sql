-- What consumer/sql/lock_refs.sql reads, without its locks.
select id, provider, account, provider_ref, client, reference, phone, merged_into, currency, version, facts,
    head_hash, head_xid, merchant_account, livemode, intent_id, flags
from payments
where id = any($1::uuid[])
