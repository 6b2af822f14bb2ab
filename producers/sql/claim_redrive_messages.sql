-- Mark letters redriven, and note that their records are on the way: both or nothing. $1 redrive, $2 letters (locked).
with marked as (
    update dead_letters set status = 'redriven' where id = any($2::bigint[]) and status = 'open' returning id
)
update redrive_messages m
set status = 'publishing', claimed_at = clock_timestamp()
from marked
where m.redrive_id = $1 and m.dead_letter_id = marked.id
