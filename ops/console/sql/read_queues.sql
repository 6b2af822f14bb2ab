-- $1 how far to count. What waits in Postgres; a count of $1 means: at least so many.
select
    (
        select count(*)
        from (
            select from payment_logs
            where version is not null
                and (relay_xid, id) > (
                    select relay_xid, id
                    from relay_cursors
                    where name in ('changes', 'state')
                    order by relay_xid, id
                    limit 1
                )
            limit $1
        ) as changes
    ) + (
        select count(*)
        from (
            select from dead_letters
            where (relay_xid, id) > (
                (select relay_xid from relay_cursors where name = 'dead_letters'),
                (select id from relay_cursors where name = 'dead_letters')
            )
            limit $1
        ) as letters
    ) + (
        select count(*)
        from (
            select from commands
            where (relay_xid, id) > (
                (select relay_xid from relay_cursors where name = 'commands'),
                (select id from relay_cursors where name = 'commands')
            )
            limit $1
        ) as commands
    ) as outbox,
    (select count(*) from (select from spool limit $1) as spooled) as spool,
    (select created_at from spool order by id limit 1) as spool_since,
    (select count(*) from (select from parked_events limit $1) as parked) as parked,
    (select min(deadline) from parked_events) as parked_until,
    (
        select count(*)
        from (
            select from payments where flagged_at is not null and merged_into is null and livemode limit $1
        ) as flagged
    ) as flagged,
    (
        select min(flagged_at) from payments where flagged_at is not null and merged_into is null and livemode
    ) as flagged_since
