-- $1 the id to go on after, $2 payments. What each payment's ledger must come to.
select p.id, p.merged_into, p.version, p.facts, p.head_hash, a.hash as anchor_hash, a.version as anchor_version
from payments p
left join ledger_anchors a on a.payment_id = p.id
where p.id > $1
order by p.id
limit $2
