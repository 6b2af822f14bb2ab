-- Four rows of the ledger a payment, in the order in which they came. $1 is how many payments.
insert into payment_logs (
    payment_id, source, event_id, event_type, outcome, from_status, to_status, amount, version, facts, topic, partition,
    "offset", occurred_at, recorded_at, relay_xid, hash)
select ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'stripe',
    'evt_3' || substr(md5(n || made.kind), 1, 23), made.kind, made.outcome, made.before, made.after, 500 + n % 249500,
    made.version,
    format('[["capture","pi_3%1$s",["succeeded",%2$s]],["terms","pi_3%1$s",["asked",%2$s]]]', substr(md5('pi' || n), 1, 23),
        500 + n % 249500)::jsonb,
    'payments.webhooks', n % 4, n, at, at, 1, sha256((n || made.kind)::bytea)
from (select n, now() - interval '1 year' + n * interval '12 seconds' as at from generate_series(1, $1::bigint) as n) one,
    lateral (values
        ('payment_intent.created', 'applied', null, 'created', 1::bigint),
        ('payment_intent.amount_capturable_updated', 'applied', 'created', 'authorized', 2),
        ('charge.captured', 'applied', 'authorized', 'captured', 3),
        ('payment_intent.succeeded', 'noop', 'captured', 'captured', null)) as made (kind, outcome, before, after, version)
