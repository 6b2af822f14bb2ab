-- $1 a payment's id, $2 rows. The rows of the payments that were merged into it belong to its history.
with recursive family as (
    select id from payments where id = $1
    union
    select payments.id
    from payments
    inner join family on payments.merged_into = family.id
)
select
    payment_logs.id, payment_logs.payment_id, source, event_id, event_type, outcome, from_status, to_status, amount,
    version, topic, partition, "offset", facts, occurred_at, recorded_at, hash
from payment_logs
where payment_id in (select id from family)
order by relay_xid, id
limit $2
