update commands
set relay_xid = case
    when (commands.relay_xid, commands.id) <= (cursors.relay_xid, cursors.id)
        and created_at <= cursors.updated_at then 1
    else 2
end
from relay_cursors as cursors
where cursors.name = 'commands'
