-- $1 digest
update console_sessions set used_at = clock_timestamp() where digest = $1
