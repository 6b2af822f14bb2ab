-- Under the lease $1 with token $2, held by $3: a replica was promoted, or this is a recovery to a point in time.
insert into epochs (epoch, timeline, because)
select greatest(last.epoch + 1, extract(epoch from clock_timestamp())::bigint), now.timeline, 'another timeline of Postgres'
from (select epoch, timeline from epochs order by epoch desc limit 1) as last
cross join (select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint as timeline) as now
where
    now.timeline <> last.timeline
    and exists (
        select from leases where name = $1 and token = $2 and holder = $3 and expires_at > clock_timestamp()
    )
on conflict (epoch) do nothing
returning epoch
