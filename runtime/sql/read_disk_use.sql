-- What the databases use that we may connect to, how large the WAL may be, and whether we may list its files (pg_monitor).
select
    (select sum(pg_database_size(oid))::bigint from pg_database where has_database_privilege(oid, 'connect')) as databases_bytes,
    greatest(
        pg_size_bytes(current_setting('max_wal_size')),
        (select max(pg_wal_lsn_diff(
            case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn
        ))::bigint from pg_replication_slots)
    ) as wal_bytes_max,
    has_function_privilege('pg_ls_waldir()', 'execute') as may_list_wal
