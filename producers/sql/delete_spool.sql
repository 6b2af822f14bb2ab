-- $1 ids; under the lease $2 with token $3, held by $4. Those that Kafka refuses become dead letters in the same step:
-- $5 their ids, $6 why, and by their headers $7 source, $8 event id, $9 kind, $10 payment. Their place is the spool's: id
-- for offset, no partition. The answer tells whether the lease stands.
with held as materialized (
    select 1 from leases where name = $2 and token = $3 and holder = $4 and expires_at > clock_timestamp() for share
), deleted as (
    delete from spool where id = any ($1::bigint[]) and exists (select from held)
    returning *
), buried as (
    insert into dead_letters (
        topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values, source, event_id,
        event_type, payment_ref, reason, message, relay_xid, created_at)
    select
        d.topic, 0, d.id,
        sha256(case when d.key is null then '-'::bytea else convert_to(length(d.key) || ':', 'UTF8') || d.key end
            || convert_to(length(d.value) || ':', 'UTF8') || d.value),
        (extract(epoch from d.created_at) * 1000)::bigint, d.key, d.value, d.header_names, d.header_values, n.source,
        n.event_id, n.kind, n.payment_ref, 'data_rejected', n.message, pg_current_xact_id()::text::bigint,
        clock_timestamp()
    from deleted d
    inner join unnest($5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
        as n (id, message, source, event_id, kind, payment_ref) on n.id = d.id
    on conflict (topic, partition, "offset", digest) do nothing
)
select exists (select from held)
