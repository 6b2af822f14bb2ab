update relay_cursors
set relay_xid = case name when 'state' then 0 else 1 end,
    id = case name when 'state' then 0 else 9223372036854775807 end,
    system_identifier = (select system_identifier from pg_control_system()),
    updated_at = now()
