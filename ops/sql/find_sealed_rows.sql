-- $1, $2 the keys under which rows of no payment were sealed, as lists. Which of them are there, and their hashes. A
-- rebase after a restore gives a row another relay_xid, 1 or 2, and leaves its id.
select n.id, l.hash
from unnest($1::bigint[], $2::bigint[]) as n (relay_xid, id)
join payment_logs l on l.relay_xid = any(array[n.relay_xid, 1, 2]) and l.id = n.id
where l.payment_id is null
