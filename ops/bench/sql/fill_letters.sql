-- Open dead letters of the last day, of five reasons and three sources. $1 is how many.
insert into dead_letters (
    topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values, source, event_id, event_type,
    payment_ref, reason, message, relay_xid, created_at)
select 'payments.webhooks', n % 4, n, sha256(n::text::bytea), 1, 'pi', convert_to('{"id": ' || n || '}', 'UTF8'), '{}', '{}',
    (array['stripe', 'adyen/shop', 'mollie'])[1 + n % 3], 'evt_' || n, (array['charge.refunded', 'CAPTURE'])[1 + n % 2],
    'pi_' || n, (array['undecodable', 'orphan', 'conflict', 'unknown_kind', 'data_rejected'])[1 + n % 5],
    'why it is here, number ' || n % 7, 1, now() - interval '1 day' + n * (interval '1 day' / $1::bigint)
from generate_series(1, $1::bigint) as n
