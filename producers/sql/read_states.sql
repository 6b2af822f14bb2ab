-- $1 relay_xid and $2 id of the cursor, $3 rows, $4 bytes of metadata: the row that passes the bound is the last one.
-- All rows come, for the cursor must pass them; the payment comes with its newest row alone, so once, and as that left it.
select *
from (
    select
        l.relay_xid, l.id, p.id as payment_id, p.version, l.recorded_at, p.provider, p.account, p.merchant_account, p.livemode,
        p.provider_ref, p.reference, p.client, p.status, p.refund_status, p.dispute_status, p.currency,
        p.amount, p.authorized, p.captured, p.refunded, p.disputed, p.flags, p.intent_id, p.merged_into, p.metadata,
        p.created_at, (select max(epoch) from epochs) as epoch,
        sum(octet_length(p.metadata)) over (order by l.relay_xid, l.id rows between unbounded preceding and 1 preceding)
            as metadata_bytes_before
    from (
        select relay_xid, id, payment_id, version, recorded_at
        from payment_logs
        where (relay_xid, id) > ($1::bigint, $2::bigint)
            and relay_xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        order by relay_xid, id
        limit $3
    ) as l
    left join lateral (
        select
            id, version, provider, account, merchant_account, livemode, provider_ref, reference, client, status,
            refund_status, dispute_status, currency, amount, authorized, captured, refunded, disputed, flags, intent_id,
            merged_into, metadata::text as metadata, created_at
        from payments
        where payments.id = l.payment_id and payments.version = l.version
        limit 1
    ) as p on true
) as sized
where coalesce(metadata_bytes_before, 0) < $4
order by relay_xid, id
