-- $1 a payment's id, $2 rows. Every name that it goes by.
select kind, ref from payment_refs where payment_id = $1 order by kind, ref limit $2
