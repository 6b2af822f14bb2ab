-- Ask the dispatcher to end an order; one that has not begun ends here. $1 order, $2 who.
update recall_orders
set stopped_by = $2,
    status = case when status = 'queued' then 'stopped' else status end,
    ended_at = case when status = 'queued' then clock_timestamp() end,
    next_at = clock_timestamp()
where id = $1 and status in ('queued', 'running') and stopped_by is null
returning id
