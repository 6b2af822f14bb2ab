-- Every event, by where it stands. An open letter whose event came once more counts once, as processed.
with ledger as (
    select
        count(*) filter (where outcome = 'applied') as applied,
        count(*) filter (where outcome = 'noop') as noop,
        count(*) filter (where outcome = 'late') as late,
        count(*) filter (where outcome = 'conflict') as conflict
    from payment_logs
)
select
    ledger.applied, ledger.noop, ledger.late, ledger.conflict,
    (select count(*) from parked_events) as parked,
    (select count(*) from dead_letters where status = 'open') as dead_letters_open,
    (
        select count(*)
        from dead_letters d
        where d.status = 'open'
            and exists (select from payment_logs l where l.source = d.source and l.event_id = d.event_id)
    ) as letters_processed_since,
    (
        select count(*)
        from parked_events p
        inner join payment_logs l on l.source = p.source and l.event_id = p.event_id
    ) as doubled
from ledger
