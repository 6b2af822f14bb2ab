-- The merchant's reference under which each payment stands.
insert into reference_payments (provider, account, livemode, kind, ref, payment_id)
select 'stripe', '', true, 'reference', 'ORD-' || substr(md5('ord' || n), 1, 24),
    ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
from generate_series(1, $1::bigint) as n
