-- $1 who, $2 action or what it begins with, $3 not before, $4 before, $5 older than this id, $6 at most
select id, acted_at, who, origin, action, target, because, db_role
from operator_actions
where ($1::text is null or who = $1)
    and ($2::text is null or action = $2 or starts_with(action, $2 || '.'))
    and ($3::timestamptz is null or acted_at >= $3)
    and ($4::timestamptz is null or acted_at < $4)
    and ($5::bigint is null or id < $5)
order by id desc
limit $6
