-- $1 a dead letter's id. The redrives that took it, and the letter that it came back as.
select m.redrive_id, m.would, m.status, m.published_at, r.returned_id
from redrive_messages m
left join redrive_returns r on r.redrive_id = m.redrive_id and r.dead_letter_id = m.dead_letter_id
where m.dead_letter_id = $1
order by m.redrive_id desc
limit 20
