-- Ask again later. $1 order, $2 after so many seconds, $3 what went wrong or null, $4 failures in a row.
update recall_orders
set next_at = clock_timestamp() + make_interval(secs => $2),
    error = coalesce($3, error),
    failures = $4
where id = $1 and status = 'running'
returning id
