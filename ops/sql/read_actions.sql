-- $1 after this id, $2 up to this one, $3 at most: the chain in its order
select id, acted_at, who, origin, action, target, because, db_role, hash
from operator_actions
where id > $1 and id <= $2
order by id
limit $3
