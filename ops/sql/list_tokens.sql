select operator_tokens.id, operators.name, operator_tokens.role, operator_tokens.ends_at, operator_tokens.made_by, operator_tokens.made_at
from operator_tokens
inner join operators on operators.id = operator_tokens.operator_id
order by operators.name, operator_tokens.id
