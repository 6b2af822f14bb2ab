-- $1 a token's id
delete from operator_tokens
where id = $1
returning (select name from operators where operators.id = operator_id) as name
