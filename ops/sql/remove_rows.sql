-- $1, $2 the keys of ledger rows, as lists.
delete from payment_logs l
using unnest($1::bigint[], $2::bigint[]) as n (relay_xid, id)
where l.relay_xid = n.relay_xid and l.id = n.id
