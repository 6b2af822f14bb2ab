-- $1 payment id, $2 client: a payment that is recorded and not in the ledger yet, in the form of read_payment_view.sql.
select
    payment_id as id, provider, account, provider_ref, reference, 'created' as status, 'none' as refund_status,
    'none' as dispute_status, currency, amount, 0::bigint as authorized, 0::bigint as captured, 0::bigint as refunded,
    0::bigint as disputed, 0::bigint as version, created_at, created_at as updated_at, 0::bigint as captures_seen,
    0::bigint as refunds_seen, 0::bigint as refunds_pending, record_key,
    coalesce(merchant_account, '') as merchant_account, coalesce(livemode, true) as livemode,
    metadata::text as metadata,
    coalesce(
        (
            select json_agg(one order by one.asked_at, one.id)
            from (
                select
                    event_id as id, command, amount, coalesce(state, 'asked') as state, refusal as reason, attempt_id,
                    created_at as asked_at, null::timestamptz as expires_at
                from intent_claims as request
                where request.payment_id = $1 and request.client = $2 and request.command <> 'create'
                order by request.created_at desc, id desc
                limit 50
            ) as one
        )::text, '[]'
    ) as commands
from intent_claims
where payment_id = $1 and client = $2 and command = 'create'
