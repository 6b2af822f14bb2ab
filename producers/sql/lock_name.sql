-- $1 a name. Waits for it up to the session's lock_timeout; it is free again when the transaction ends, however it ends.
select pg_advisory_xact_lock(hashtextextended($1, 0))
