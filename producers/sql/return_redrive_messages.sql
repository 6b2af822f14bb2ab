-- Letters that Kafka refuses: they are open again. $1 redrive, $2 letters and $3 why, pairwise.
with returned as (
    update redrive_messages m
    set status = 'skipped', detail = left(n.detail, 500), claimed_at = null
    from unnest($2::bigint[], $3::text[]) as n (dead_letter_id, detail)
    where m.redrive_id = $1 and m.dead_letter_id = n.dead_letter_id and m.status = 'publishing'
    returning m.dead_letter_id
), reopened as (
    update dead_letters set status = 'open'
    where id in (select dead_letter_id from returned) and status = 'redriven'
)
update redrives
set skipped = skipped + (select count(*) from returned), updated_at = clock_timestamp()
where id = $1
