-- $1 rows at most, $2 seconds for which a command is kept. One that is not published yet stays.
delete from commands
where id in (
    select commands.id
    from commands
    inner join relay_cursors on relay_cursors.name = 'commands'
    where
        commands.created_at < now() - make_interval(secs => $2)
        and (commands.relay_xid, commands.id) <= (relay_cursors.relay_xid, relay_cursors.id)
    order by commands.created_at
    limit $1
)
