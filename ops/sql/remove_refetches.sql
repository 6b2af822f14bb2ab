-- Payments that were read again, or could not be. $1 before, $2 rows
delete from refetches
where id in (
    select id from refetches
    where status <> 'queued' and updated_at < $1
    order by id
    limit $2
    for update skip locked
)
