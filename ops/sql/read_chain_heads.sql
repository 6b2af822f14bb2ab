-- $1 the id to go on after, $2 payments. What each payment's ledger must come to, and where its chain begins.
select
    p.id, p.merged_into, p.client, p.version, p.facts, p.head_hash, p.status, p.refund_status, p.dispute_status,
    p.amount, p.authorized, p.captured, p.refunded, p.disputed, p.flags, a.hash as anchor_hash,
    a.version as anchor_version, a.relay_xid as anchor_xid, a.ledger_id as anchor_id, a.facts as anchor_facts,
    a.rows_removed as anchor_rows, a.mac as anchor_mac
from payments p
left join ledger_anchors a on a.payment_id = p.id
where p.id > $1
order by p.id
limit $2
