-- $1 a payment's id, $2 rows. Dead letters that name it by any of its references.
select distinct d.id, d.reason, d.status, d.event_type, d.event_id, d.created_at
from (
    select provider, ref, payment_id from payment_refs
    union all
    select provider, ref, payment_id from reference_payments where kind = 'reference'
) r
inner join dead_letters d on d.payment_ref = r.ref and split_part(d.source, '/', 1) = r.provider
where r.payment_id = $1
order by d.id desc
limit $2
