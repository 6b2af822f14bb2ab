update dead_letters
set relay_xid = case
    when (dead_letters.relay_xid, dead_letters.id) <= (cursors.relay_xid, cursors.id)
        and created_at <= cursors.updated_at then 1
    else 2
end
from relay_cursors as cursors
where cursors.name = 'dead_letters'
