-- $1 redrive, $2 letters whose records Kafka has
with done as (
    update redrive_messages
    set status = 'published', published_at = clock_timestamp()
    where redrive_id = $1 and dead_letter_id = any($2::bigint[]) and status = 'publishing'
    returning dead_letter_id
)
update redrives
set published = published + (select count(*) from done), updated_at = clock_timestamp()
where id = $1
