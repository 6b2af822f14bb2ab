-- Another password: another key, and every session ends. $1 key, $2 hash of the password, $3 hash of the old one
with changed as (
    update console_keys set signing_key = $1, password_hash = $2, made_at = clock_timestamp()
    where password_hash = $3
    returning 1
)
delete from console_sessions where exists (select from changed)
