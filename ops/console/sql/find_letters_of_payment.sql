-- $1 a payment's id, $2 rows. Dead letters that name it by any of its names.
select d.id, d.reason, d.status, d.event_type, d.event_id, d.created_at
from payment_refs r
inner join dead_letters d on d.payment_ref = r.ref and split_part(d.source, '/', 1) = r.provider
where r.payment_id = $1
order by d.id desc
limit $2
