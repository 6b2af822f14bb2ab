-- What `ratchet status` counts. outbox: ledger rows (as changes, and as states), commands and dead letters not yet
-- published.
select
    (select count(*) from payments) as payments,
    (select count(*) from payment_logs) as ledger,
    (select count(*) from payments where flagged_at is not null and merged_into is null and livemode) as flagged,
    (select count(*) from parked_events) as parked,
    (select count(*) from dead_letters where status = 'open') as dead_letters_open,
    (select count(distinct id) from noted_dead_letters) as dead_letters_noted,
    (
        select count(*)
        from payment_logs
        where version is not null
            and (relay_xid, id) > (
                select relay_xid, id
                from relay_cursors
                where name in ('changes', 'state')
                order by relay_xid, id
                limit 1
            )
    ) + (
        select count(*)
        from dead_letters
        where (relay_xid, id) > (
            (select relay_xid from relay_cursors where name = 'dead_letters'),
            (select id from relay_cursors where name = 'dead_letters')
        )
    ) + (
        select count(*)
        from commands
        where (relay_xid, id) > (
            (select relay_xid from relay_cursors where name = 'commands'),
            (select id from relay_cursors where name = 'commands')
        )
    ) as outbox,
    (select count(*) from spool) as spool
