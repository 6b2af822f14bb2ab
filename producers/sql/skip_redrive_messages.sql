-- $1 redrive, $2 letters and $3 why each does not go, pairwise
with skipped as (
    update redrive_messages m
    set status = 'skipped', detail = left(n.detail, 500)
    from unnest($2::bigint[], $3::text[]) as n (dead_letter_id, detail)
    where m.redrive_id = $1 and m.dead_letter_id = n.dead_letter_id and m.status = 'queued'
    returning m.dead_letter_id
)
update redrives
set skipped = skipped + (select count(*) from skipped), updated_at = clock_timestamp()
where id = $1
