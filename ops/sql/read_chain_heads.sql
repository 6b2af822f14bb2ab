-- $1 the id to go on after, $2 payments. What each payment's ledger must come to.
select id, merged_into, version, facts, head_hash
from payments
where id > $1
order by id
limit $2
