-- $1 seconds the claim holds. A row that is found `sending` was claimed by one that ended without a word.
-- A payment that was merged tells the figures of the one that it turned out to be in the end.
with due as (
    select id
    from sms_transactions
    where status in ('queued', 'sending') and next_attempt_at <= clock_timestamp()
    order by next_attempt_at
    limit 1
    for update skip locked
), claimed as (
    update sms_transactions as message
    set status = 'sending',
        attempts = attempts + 1,
        next_attempt_at = clock_timestamp() + make_interval(secs => $1)
    from due
    where message.id = due.id
    returning message.id, message.payment_id, message.to_number, message.template, message.child,
        message.amount as own_amount, message.attempts, message.created_at
)
select claimed.*, payments.status as survivor_status, payments.currency, payments.amount, payments.authorized,
    payments.captured, payments.refunded
from claimed
cross join lateral surviving_payment(claimed.payment_id) as survivor
join payments on payments.id = survivor.id
