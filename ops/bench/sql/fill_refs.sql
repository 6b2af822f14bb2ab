-- The two references of each payment.
insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
select 'stripe', '', '', true, made.kind, made.ref, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
from generate_series(1, $1::bigint) as n,
    lateral (values ('payment', 'pi_3' || substr(md5('pi' || n), 1, 23)), ('charge', 'ch_3' || substr(md5('ch' || n), 1, 23))) as made (kind, ref)
