-- Whose transaction ids the cursors hold, and whether any id is one that this cluster has not issued yet.
select
    name, relay_xid, system_identifier as known,
    (select system_identifier from pg_control_system()) as current,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_xid,
    case name
        when 'dead_letters' then (select max(relay_xid) from dead_letters)
        when 'commands' then (select max(relay_xid) from commands)
        else (select max(relay_xid) from payment_logs)
    end as highest_xid
from relay_cursors
order by name
