-- Whose transaction is the oldest that is open: what the relay publishes waits for its end. Locks are shown to everybody,
-- when a transaction began only to its own role and to members of pg_read_all_stats; a prepared one has no process.
select
    l.transactionid::text as xid, l.pid, a.usename::text as role, a.application_name as application,
    extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds, p.gid
from pg_locks as l
left join pg_stat_activity as a on a.pid = l.pid
left join pg_prepared_xacts as p on p.transaction = l.transactionid
where l.locktype = 'transactionid'
    and l.granted
    and l.mode = 'ExclusiveLock'
    and l.transactionid = (pg_snapshot_xmin(pg_current_snapshot())::text::bigint % 4294967296)::text::xid
