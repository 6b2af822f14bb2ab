-- The notes that stand, the newest first, with how many open dead letters each speaks of. $1 redrive (null: any),
-- $2 at most
select
    id, reason, source, event_type, redrive_id, note, author, made_at, silent_until,
    (select count(*) from noted_dead_letters where note_id = dead_letter_notes.id) as letters
from dead_letter_notes
where ended_at is null and silent_until > statement_timestamp() and ($1::bigint is null or redrive_id = $1)
order by id desc
limit $2
