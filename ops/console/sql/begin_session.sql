-- $1 digest, $2 person, $3 address, $4 the longest that a session lasts in seconds: what ended of itself goes too.
with over as (delete from console_sessions where began_at < clock_timestamp() - make_interval(secs => $4))
insert into console_sessions (digest, person, address) values ($1, $2, $3)
