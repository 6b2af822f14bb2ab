-- $1 digest, $2 person, $3 address, $4 the longest that a session lasts in seconds: what ended of itself goes too.
-- $5 the operator's row, null for everybody else, $8 what an OpenID provider says that the person may, $6 how the audit calls it, $7 from where
with over as (delete from console_sessions where began_at < clock_timestamp() - make_interval(secs => $4)),
seen as (update operators set signed_in_at = clock_timestamp() where id = $5::bigint),
noted as (
    insert into operator_actions (who, origin, action, target, because) values ($2, $7, $6, 'console', '')
)
insert into console_sessions (digest, person, address, operator_id, role) values ($1, $2, $3, $5::bigint, $8::text)
