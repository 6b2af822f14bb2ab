-- $1 provider, $2 account, $3 list, $4 what went wrong; $5 begins the span anew: what names its next page is no good.
update recall_cursors
set last_error = $4,
    asked_at = clock_timestamp(),
    page = case when $5 then null else page end,
    turns = turns + case when $5 then 1 else 0 end
where provider = $1 and account = $2 and list = $3
returning turns
