-- $1 relay_xid, $2 id, $3 hash of the newest archived row. Where it stands now: a rebase after a restore gives it another
-- relay_xid, 1 or 2, and leaves its id.
select relay_xid, id
from payment_logs
where relay_xid = any(array[$1::bigint, 1, 2]) and id = $2::bigint and hash = $3::bytea
