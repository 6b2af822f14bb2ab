-- $1 a time, $2 rows. The oldest ledger rows, all of them before that time and published; a prefix of every chain.
select l.relay_xid, l.id, l.payment_id, l.version, l.hash
from payment_logs l
join relay_cursors c on c.name = 'changes' and (l.relay_xid, l.id) <= (c.relay_xid, c.id)
where l.recorded_at < $1
order by l.relay_xid, l.id
limit $2
