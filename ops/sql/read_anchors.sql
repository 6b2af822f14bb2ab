-- $1 payment ids. Where their chains begin.
select payment_id, hash, version, rows_removed, relay_xid, ledger_id, facts, mac
from ledger_anchors
where payment_id = any($1::uuid[])
