-- $1 digest, $2 how long ago it was used, in seconds; another console may know of a later use
update console_sessions
set used_at = greatest(used_at, clock_timestamp() - make_interval(secs => $2))
where digest = $1
