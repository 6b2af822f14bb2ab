-- A page of payments, the newest first. $1 status, $2 provider, $3 account, $4 live money, $5 not before, $6 before,
-- $7 dispute's statuses, $8 currency, $9 amount in minor units, $10 client, $11 reference; null: any.
-- $12, $13 the time and the id of the last one of the page before, $14 rows.
select
    id, provider, account, merchant_account, provider_ref, client, reference, status, refund_status, dispute_status,
    currency, amount, captured, refunded, disputed, livemode, flags, intent_id, created_at, updated_at
from payments
where merged_into is null
    and ($1::text is null or status = $1)
    and ($2::text is null or provider = $2)
    and ($3::text is null or account = $3)
    and ($4::boolean is null or livemode = $4)
    and ($5::timestamptz is null or created_at >= $5)
    and ($6::timestamptz is null or created_at < $6)
    and ($7::text[] is null or dispute_status = any($7))
    and ($8::text is null or currency = $8)
    and ($9::bigint is null or amount = $9)
    and ($10::text is null or client = $10)
    and ($11::text is null or reference = $11)
    and ($12::timestamptz is null or (created_at, id) < ($12, $13::uuid))
order by created_at desc, id desc
limit $14
