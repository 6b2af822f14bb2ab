-- $1 a payment's id, $2 rows. Every reference that leads to it, and those under which it stands.
select kind, ref from payment_refs where payment_id = $1
union
select kind, ref from reference_payments where payment_id = $1
order by kind, ref
limit $2
