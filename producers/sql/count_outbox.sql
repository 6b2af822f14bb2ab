-- What the relay has not published yet, rows of transactions under way left out as they are invisible.
select
    (
        select count(*)
        from payment_logs
        where version is not null
            and (relay_xid, id) > (
                (select relay_xid from relay_cursors where name = 'changes'),
                (select id from relay_cursors where name = 'changes')
            )
    ) as changes,
    (
        select count(*)
        from payment_logs
        where version is not null
            and (relay_xid, id) > (
                (select relay_xid from relay_cursors where name = 'state'),
                (select id from relay_cursors where name = 'state')
            )
    ) as state,
    (
        select count(*)
        from dead_letters
        where (relay_xid, id) > (
            (select relay_xid from relay_cursors where name = 'dead_letters'),
            (select id from relay_cursors where name = 'dead_letters')
        )
    ) as dead_letters,
    (
        select count(*)
        from commands
        where (relay_xid, id) > (
            (select relay_xid from relay_cursors where name = 'commands'),
            (select id from relay_cursors where name = 'commands')
        )
    ) as commands,
    (select count(*) from spool) as spool
