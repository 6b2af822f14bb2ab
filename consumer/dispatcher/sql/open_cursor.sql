-- Return where the reading of a list stands; make the row where there is none. $1 provider, $2 account (lower case),
-- $3 list, $4 source. Reading begins when the endpoint's secret was first configured: with the first event in the ledger,
-- else now.
with made as (
    insert into recall_cursors (provider, account, list, began_at, read_until)
    select $1, $2, $3, began.at, began.at
    from (
        select coalesce(
            (
                select recorded_at
                from payment_logs
                where source = $4 and exists (select from payment_logs where source = $4)
                order by id
                limit 1
            ),
            clock_timestamp()
        ) as at
    ) as began
    where not exists (select from recall_cursors where provider = $1 and account = $2 and list = $3)
    on conflict do nothing
    returning began_at, read_until, since, until, page, turns
)
select *, clock_timestamp() as now, (select count(*) from (select from spool limit $5) as waiting) as spooled from made
union all
select
    began_at, read_until, since, until, page, turns, clock_timestamp() as now,
    (select count(*) from (select from spool limit $5) as waiting) as spooled
from recall_cursors
where provider = $1 and account = $2 and list = $3
