-- End an order before all is read. $1 order, $2 failed or stopped, $3 what went wrong or null.
update recall_orders
set status = $2,
    error = coalesce($3, error),
    ended_at = clock_timestamp()
where id = $1 and status = 'running'
returning id
