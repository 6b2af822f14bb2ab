-- What consumer/sql/lock_payments.sql reads, without its locks.
select id, provider, account, provider_ref, client, reference, phone, merged_into, currency, version, facts, head_hash, head_xid
from payments
where id = any($1::uuid[])
