-- $1 key. One archiving at a time: held until it is given back or the session ends.
select pg_try_advisory_lock($1) as locked
