-- Take the order whose turn it is. $1 while so many records wait in the spool, nothing is read.
update recall_orders
set status = 'running',
    started_at = coalesce(started_at, clock_timestamp())
where id = (
    select id
    from recall_orders
    where status in ('queued', 'running') and next_at <= clock_timestamp()
    order by next_at, id
    limit 1
)
returning
    id, provider, account, since, until, dry_run, stopped_by, asked_since, secret_since, list, page, turns, failures, pages,
    known, history, kinds, first_at, last_at, clock_timestamp() as now,
    (select count(*) from (select from spool limit $1) as waiting) as spooled
