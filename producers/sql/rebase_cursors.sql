update relay_cursors
set relay_xid = 1,
    id = 9223372036854775807,
    system_identifier = (select system_identifier from pg_control_system()),
    updated_at = now()
