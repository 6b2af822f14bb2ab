-- $1 payment ids. What each payment's ledger must come to, and where its chain begins.
select
    p.id, p.version, p.head_hash, a.hash as anchor_hash, a.version as anchor_version, a.relay_xid as anchor_xid,
    a.ledger_id as anchor_id, a.facts as anchor_facts, a.rows_removed as anchor_rows, a.mac as anchor_mac
from payments p
left join ledger_anchors a on a.payment_id = p.id
where p.id = any($1::uuid[])
order by p.id
