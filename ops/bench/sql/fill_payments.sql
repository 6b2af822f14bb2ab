-- Payments as a year of traffic leaves them: captured in one go. $1 is how many.
insert into payments (
    id, provider, account, provider_ref, reference, status, refund_status, dispute_status, currency, amount, authorized, captured,
    refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at)
select ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'stripe', '', ref, 'ORD-' || substr(md5('ord' || n), 1, 24), 'captured', 'none', 'none',
    'EUR', amount, amount, amount, 0, 0, 3,
    format('{"terms:%2$s":["asked",%1$s],"attempt:%2$s":["created"],"authorization:%2$s":["authorized",%1$s],'
        '"capture:%2$s":["succeeded",%1$s],"attempt:%3$s":["succeeded"]}', amount, ref, charge)::jsonb,
    sha256(ref::bytea), 1, at, at
from (
    select n, 'pi_3' || substr(md5('pi' || n), 1, 23) as ref, 'ch_3' || substr(md5('ch' || n), 1, 23) as charge,
        500 + n % 249500 as amount, now() - interval '1 year' + n * interval '12 seconds' as at
    from generate_series(1, $1::bigint) as n) made
