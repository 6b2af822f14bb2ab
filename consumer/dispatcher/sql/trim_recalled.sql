-- Forget what needs no counting any more: history, and what came by webhook as well before recall brought it. $1 days it
-- is kept, $2 rows at once.
delete from recalled_events
where (source, event_id) in (
    select source, event_id
    from recalled_events
    where (history or first_at is null) and seen_at < clock_timestamp() - make_interval(days => $1)
    limit $2
)
