-- A letter that was read back, and of which a later one came back from a redrive, was redriven.
update dead_letters old
set status = 'redriven'
where old.relay_xid = 1
    and old.status = 'open'
    and exists (
        select
        from dead_letters again
        where again.digest = old.digest
            and again.redrive_count > old.redrive_count
            and again.redrive_count > 0
            and again.source is not distinct from old.source
            and again.event_id is not distinct from old.event_id)
