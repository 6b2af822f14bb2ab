-- Orders to read providers' lists, the newest first. $1 one order, or null; $2 provider of the open one, or null; $3 rows.
select
    id, provider, account, since, until, dry_run, requested_by, because, requested_at, status, asked_since, secret_since, list,
    pages, known, new, history, kinds, first_at, last_at, error, stopped_by, next_at, started_at, ended_at
from recall_orders
where ($1::bigint is null or id = $1) and ($2::text is null or (provider = $2 and status in ('queued', 'running')))
order by id desc
limit $3
