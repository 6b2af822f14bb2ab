-- Which standbys commits wait for, how many standbys there are, how many of this role's sessions have been waiting for
-- them for two seconds (a commit waits for milliseconds), and which standby lacks most, by how many bytes of WAL: that is
-- shown to members of pg_read_all_stats alone (null), and a standby that is asked knows nothing of it.
select
    current_setting('synchronous_standby_names') as names,
    count(*) as standbys,
    (select count(*) from pg_stat_activity where wait_event = 'SyncRep' and query_start < clock_timestamp() - interval '2 s')
        as waiting,
    max(lacks)::bigint as lag_bytes,
    (array_agg(application_name order by lacks desc nulls last))[1] as furthest
from (
    select
        application_name,
        case when not pg_is_in_recovery() then pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) end as lacks
    from pg_stat_replication
) as standby
