-- Text messages that have come to their end. $1 before, $2 rows
delete from sms_transactions
where id in (
    select id from sms_transactions
    where status not in ('queued', 'sending') and created_at < $1
    order by id
    limit $2
    for update skip locked
)
