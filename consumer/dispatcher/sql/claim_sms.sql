-- $1 seconds the claim holds. A row that is found `sending` was claimed by one that ended without a word.
-- A payment that was merged tells the figures of the one that it turned out to be in the end.
with recursive due as (
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
), followed as (
    select payments.id, payments.merged_into
    from payments
    join claimed on claimed.payment_id = payments.id
    union
    select payments.id, payments.merged_into
    from payments
    join followed on payments.id = followed.merged_into
)
select claimed.*, survivor.status as survivor_status, survivor.currency, survivor.amount, survivor.authorized,
    survivor.captured, survivor.refunded
from claimed
join followed on followed.merged_into is null
join payments as survivor on survivor.id = followed.id
