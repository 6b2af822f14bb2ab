-- $1 redrive
select m.dead_letter_id as id, m.would, m.status, m.detail, m.published_at, back.returned_id
from redrive_messages m
left join redrive_returns back using (redrive_id, dead_letter_id)
where m.redrive_id = $1
order by m.dead_letter_id
