-- $1, $2 the payment and the ledger row to go on after, $3 the last payment to look at, $4 rows. Ledger rows of payments
-- that are not there. The look-up is a sub-query of its own, for a join would read all payments for each step.
select l.id, l.payment_id
from payment_logs l
where (l.payment_id, l.id) > ($1::uuid, $2::bigint) and l.payment_id <= $3::uuid
  and (select p.id from payments p where p.id = l.payment_id) is null
order by l.payment_id, l.id
limit $4
