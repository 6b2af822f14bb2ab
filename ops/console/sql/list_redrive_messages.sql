-- $1 a redrive's id, $2 rows. Its audit: letters that came back or were skipped first, then the newest published.
select m.dead_letter_id, m.would, m.status, m.detail, m.published_at, r.returned_id, r.reason as returned_reason
from redrive_messages m
left join redrive_returns r on r.redrive_id = m.redrive_id and r.dead_letter_id = m.dead_letter_id
where m.redrive_id = $1 and m.status <> 'queued'
order by (r.returned_id is not null or m.status = 'skipped') desc, m.published_at desc nulls last, m.dead_letter_id
limit $2
