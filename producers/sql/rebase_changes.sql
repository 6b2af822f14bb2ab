update payment_logs
set relay_xid = case
    when (payment_logs.relay_xid, payment_logs.id) <= (cursors.relay_xid, cursors.id)
        and recorded_at <= cursors.updated_at then 1
    else 2
end
from relay_cursors as cursors
where cursors.name = 'changes'
