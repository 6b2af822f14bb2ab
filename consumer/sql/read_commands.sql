-- The commands of these payments ($1), in the order in which they were checked. `over`: nobody ended it, and silence has
-- freed its money $2 seconds after it expired. An attempt that turned out to be another payment is that one.
select
    commands.payment_id, commands.command_id, commands.command, commands.amount, commands.seen,
    coalesce(survivor.id, commands.attempt_id) as attempt_id, commands.state,
    commands.expires_at + make_interval(secs => $2) <= clock_timestamp() as over
from commands
left join lateral surviving_payment(commands.attempt_id) as survivor on true
where commands.payment_id = any($1::uuid[])
order by commands.payment_id, commands.relay_xid, commands.id
