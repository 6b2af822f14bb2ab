-- $1 person, $2 role, $3 digest of the token, $4 days, $5 who makes it
insert into operator_tokens (operator_id, role, digest, ends_at, made_by)
select id, $2, $3, clock_timestamp() + make_interval(days => $4), $5 from operators where name = $1
returning id, ends_at
