-- $1 digest. Whose the token is, until its end; what it may is the less of its role and the person's (the caller compares).
select operators.id as operator_id, operators.name, operators.role, operator_tokens.role as token_role
from operator_tokens
inner join operators on operators.id = operator_tokens.operator_id
where operator_tokens.digest = $1
    and operator_tokens.ends_at > clock_timestamp()
    and operators.one_time_until is null
