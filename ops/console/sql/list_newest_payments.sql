-- $1 rows. Ids begin with the time at which they were made, so the newest are at the end of the primary key.
select id, provider, account, provider_ref, reference, status, refund_status, dispute_status, currency, amount, captured,
    refunded, livemode, created_at
from payments
where merged_into is null
order by id desc
limit $1
