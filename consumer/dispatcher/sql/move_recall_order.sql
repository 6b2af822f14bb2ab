-- Note what a page of an order held. $1 order, $2 turns as read; $3 list and $4 page where reading goes on: both null where
-- all is read; then what was found until now: $5 since when the lists were asked, $6 since when the secret is there,
-- $7 pages, $8 known, $9 new, $10 history, $11 kinds, $12 first, $13 last. No row: another has written meanwhile.
update recall_orders
set status = case when $3::text is null then 'done' else status end,
    ended_at = case when $3::text is null then clock_timestamp() end,
    list = $3,
    page = $4,
    asked_since = $5,
    secret_since = $6,
    pages = $7,
    known = $8,
    new = $9,
    history = $10,
    kinds = $11,
    first_at = $12,
    last_at = $13,
    turns = turns + 1,
    failures = 0,
    error = null,
    next_at = clock_timestamp()
where id = $1 and turns = $2 and status = 'running'
returning id
