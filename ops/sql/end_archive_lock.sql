-- $1 key
select pg_advisory_unlock($1) as unlocked
