-- Lock payments in id order, after the names.
select id, provider, account, provider_ref, client, reference, phone, merged_into, currency, version, facts, head_hash, head_xid
from payments
where id = any($1::text::uuid[])
order by id
for no key update
