-- $1 digest, $2 the longest that a session lasts, $3 the longest that it may lie idle, in seconds
select person from console_sessions
where digest = $1
    and began_at > clock_timestamp() - make_interval(secs => $2)
    and used_at > clock_timestamp() - make_interval(secs => $3)
