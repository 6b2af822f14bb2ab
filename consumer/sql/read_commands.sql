-- The commands of these payments ($1), in the order in which they were checked. `over`: nobody ended it, and silence has
-- freed its money $2 seconds after it expired. An attempt that turned out to be another payment is that one.
select
    commands.payment_id, commands.command_id, commands.command, commands.amount, commands.seen,
    coalesce(payments.merged_into, commands.attempt_id) as attempt_id, commands.state,
    commands.expires_at + make_interval(secs => $2) <= clock_timestamp() as over
from commands
left join payments on payments.id = commands.attempt_id
where commands.payment_id = any($1::uuid[])
order by commands.payment_id, commands.relay_xid, commands.id
