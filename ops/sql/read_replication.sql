-- Which standbys commits wait for, how many standbys there are, and how many of this role's sessions
-- have been waiting for them for two seconds: a commit waits for milliseconds.
select
    current_setting('synchronous_standby_names') as names,
    (select count(*) from pg_stat_replication) as standbys,
    (select count(*) from pg_stat_activity where wait_event = 'SyncRep' and query_start < clock_timestamp() - interval '2 s')
        as waiting
