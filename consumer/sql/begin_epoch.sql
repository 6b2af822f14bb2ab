-- $1 why. From now on versions count anew.
insert into epochs (epoch, timeline, because)
select
    greatest(max(epoch) + 1, extract(epoch from clock_timestamp())::bigint),
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint,
    $1
from epochs
on conflict (epoch) do nothing
