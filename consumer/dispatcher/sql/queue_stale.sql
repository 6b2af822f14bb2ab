-- Ask again about payments of which nothing may ever tell the end. $1 provider and $2 account (lower case) whose API can
-- be asked; $3 statuses, $4 refund statuses and $5 dispute statuses that are open; seconds $6 for which such a payment
-- has been silent, $7 between two questions, $8 that it may be old; $9 how many at once: the longest silent first.
-- Returns how many.
with silent as (
    select p.provider, p.account, p.provider_ref as ref
    from payments as p
    where p.provider = $1
        and lower(p.account) = $2
        and p.merged_into is null
        and p.provider_ref is not null
        and (
            p.status in ('created', 'requires_action', 'processing', 'authorized')
            or p.refund_status = 'pending'
            or p.dispute_status in ('inquiry', 'open', 'under_review')
        )
        and (p.status = any($3::text[]) or p.refund_status = any($4::text[]) or p.dispute_status = any($5::text[]))
        and p.updated_at < clock_timestamp() - make_interval(secs => $6)
        and p.created_at > clock_timestamp() - make_interval(secs => $8)
        and not exists (
            select
            from refetches as asked
            where (asked.ref, asked.provider, asked.account) = (p.provider_ref, p.provider, p.account)
                and (asked.status = 'queued' or asked.updated_at > clock_timestamp() - make_interval(secs => $7))
        )
    order by p.updated_at
    limit $9
), queued as (
    insert into refetches (provider, account, ref, reason, known, priority)
    select provider, account, ref, 'stale', true, 5
    from silent
    order by ref
    on conflict (ref, provider, account) do update
    set reason = 'stale',
        status = 'queued',
        attempts = 0,
        next_attempt_at = clock_timestamp(),
        known = true,
        priority = 5,
        updated_at = clock_timestamp()
    where refetches.status <> 'queued'
    returning id
)
select count(*) as queued from queued
