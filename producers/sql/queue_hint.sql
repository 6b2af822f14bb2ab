-- $1 provider, $2 account, $3 the id that an unsigned webhook names, $4 rows of the endpoint that may wait, $5 of those
-- the ids that nobody knows, $6 seconds after which a payment is read again at the earliest, $7 what the id belongs to,
-- or null. Returns a row where the payment waits to be read again now, none where too many do. A provider's list may have
-- shown the object's state before.
with asked as (
    select
        exists (
            select from payment_refs
            where ref = $3 and provider = $1 and account = $2 and payment_id is not null
                and kind <> 'reference'
        )
        or exists (
            select from intent_claims
            where provider_ref = $3 and provider = $1 and account = $2 and command = 'create'
        ) as known
), room as (
    select
        (
            select count(*)
            from (select from refetches where provider = $1 and account = $2 and status = 'queued' limit $4) as waiting
        ) < $4
        and (
            known
            or (
                select count(*)
                from (
                    select from refetches
                    where provider = $1 and account = $2 and not refetches.known and status = 'queued'
                    limit $5
                ) as unknown
            ) < $5
        ) as any_left
    from asked
), noted as (
    update recalled_events
    set webhook_at = clock_timestamp()
    where ref = $3 and source = concat_ws('/', $1, nullif(lower($2), '')) and webhook_at is null
)
insert into refetches (provider, account, ref, reason, known, priority, about)
select $1, $2, $3, 'hint', known, case when known then 1 else 9 end, $7
from asked
cross join room
where
    any_left
    or exists (select from refetches where ref = $3 and provider = $1 and account = $2 and status = 'queued')
on conflict (ref, provider, account) do update
set reason = case when refetches.status = 'queued' then refetches.reason else excluded.reason end,
    status = 'queued',
    attempts = case when refetches.status = 'queued' then refetches.attempts else 0 end,
    next_attempt_at = case
        when refetches.status = 'queued' then refetches.next_attempt_at
        else greatest(clock_timestamp(), refetches.updated_at + make_interval(secs => $6))
    end,
    known = refetches.known or excluded.known,
    about = coalesce(refetches.about, excluded.about),
    priority = case
        when refetches.status = 'queued' or refetches.known then least(refetches.priority, excluded.priority)
        else excluded.priority
    end,
    updated_at = clock_timestamp()
returning id
