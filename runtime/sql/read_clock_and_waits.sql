-- Postgres's time (unix seconds), and how many sessions that are shown to us, our role's at least, have been waiting for
-- a synchronous standby for two seconds: a commit waits for milliseconds.
select
    extract(epoch from clock_timestamp())::float8 as at,
    (select count(*) from pg_stat_activity where wait_event = 'SyncRep' and query_start < clock_timestamp() - interval '2 s')
        as waiting
