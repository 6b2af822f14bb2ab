-- Remove letters that are not open, oldest first, with what hangs on them. $1 before, $2 rows
with old as materialized (
    select id, topic, partition, "offset", digest
    from dead_letters d
    where status <> 'open' and created_at < $1
        and not exists (
            select from redrive_messages m
            inner join redrives r on r.id = m.redrive_id
            where m.dead_letter_id = d.id and r.ended_at is null
        )
    order by id
    limit $2
    for update skip locked
), noted as (
    insert into erased_letters (topic, partition, "offset", digest)
    select topic, partition, "offset", digest from old
    on conflict do nothing
), unsent as (
    delete from redrive_messages where dead_letter_id in (select id from old)
), undiscarded as (
    delete from discards where dead_letter_id in (select id from old)
)
delete from dead_letters where id in (select id from old) returning id
