-- What the files of the WAL use. It needs pg_monitor, or the right to this function.
select coalesce(sum(size), 0)::bigint from pg_ls_waldir()
