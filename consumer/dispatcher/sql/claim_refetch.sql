-- $1 providers and $2 accounts that can be asked now, $3 seconds the claim holds: a crash lets it be tried again then;
-- $4 whether one that nobody knows may be asked about there; $5 seconds for which one that belongs to something waits
-- until money of that is known: only then is known what it belongs to. updated_at is the claim's mark: whoever
-- asks again while the answer is on its way changes it.
with due as (
    select refetches.id, owner.has_money
    from refetches
    cross join lateral (
        select exists (
            select
            from payment_refs as named
            join payments on payments.id = named.payment_id
            where named.ref = refetches.about
                and named.provider = refetches.provider
                and named.account = refetches.account
                and named.kind <> 'reference'
                and payments.captured > 0
        ) as has_money
    ) as owner
    where status = 'queued'
        and next_attempt_at <= clock_timestamp()
        and exists (
            select
            from unnest($1::text[], $2::text[], $4::boolean[]) as source (provider, account, may_guess)
            where source.provider = refetches.provider
                and source.account = lower(refetches.account)
                and (refetches.known or source.may_guess)
        )
        and (about is null or created_at < clock_timestamp() - make_interval(secs => $5) or owner.has_money)
    order by priority, next_attempt_at
    limit 1
    for update of refetches skip locked
)
update refetches
set attempts = attempts + 1,
    next_attempt_at = clock_timestamp() + make_interval(secs => $3),
    updated_at = clock_timestamp()
from due
where refetches.id = due.id
returning
    refetches.id, provider, account, ref, known, attempts, updated_at, case when due.has_money then about end as about
