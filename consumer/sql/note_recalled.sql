-- Note of events that a list showed whether recall brought them first, and that a webhook of them came. $1 sources, $2
-- event ids, $3 what is known: `first` (recall brought it), `known` (recall brought what was there already), `webhook`.
-- A hint of an object's webhook may have come already and wait to be read again.
with arrived as (
    select n.source, n.event_id, bool_or(n.what = 'first') as first, bool_or(n.what = 'known') as known,
        bool_or(n.what = 'webhook') as webhook
    from unnest($1::text::text[], $2::text::text[], $3::text::text[]) as n (source, event_id, what)
    group by n.source, n.event_id
), held as (
    select r.source, r.event_id, arrived.first, arrived.known, arrived.webhook
    from arrived
    join recalled_events as r using (source, event_id)
    where (r.first_at is null and (arrived.first or arrived.known)) or (r.webhook_at is null and arrived.webhook)
    order by r.source, r.event_id
    for update of r
)
update recalled_events as r
set first_at = case when held.first and r.webhook_at is null then coalesce(r.first_at, clock_timestamp()) else r.first_at end,
    webhook_at = case
        when held.webhook or (held.known and r.first_at is null and not held.first)
            then coalesce(r.webhook_at, clock_timestamp())
        when r.ref is not null and r.webhook_at is null
            then (
                select f.updated_at
                from refetches as f
                where f.ref = r.ref
                    and f.provider = split_part(r.source, '/', 1)
                    and lower(f.account) = split_part(r.source, '/', 2)
                    and f.reason = 'hint'
                    and f.updated_at >= r.occurred_at
            )
        else r.webhook_at
    end
from held
where r.source = held.source and r.event_id = held.event_id
