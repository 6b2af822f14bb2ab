-- Ask again about payments of which nothing may ever tell the end. $1 provider and $2 account (lower case) whose API
-- can be asked; $3 statuses, $4 refund statuses and $5 dispute statuses that are open; seconds $6 for which such a
-- payment has been silent, $7 between two questions, $8 that it may be old; $9 how many at once: the longest silent
-- first; $10 the kind of the references to ask by, as `kind:ref`, null for the payment itself; of refunds and disputes
-- those that are open by the payment's facts: a refund may be pending where others are done, which `refund_status` hides.
-- No payment is changed before it is made, so the bound on its age bounds
-- what is read of the index too. Two payments may have one reference, at two merchants: it is asked about once.
-- What its API does not know is asked about when it is due again (fail_refetch). Returns how many.
with open as (
    select
        p.id, p.provider, p.account, p.provider_ref, p.updated_at,
        case when $10::text is not null then p.facts end as facts
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
        and p.updated_at > clock_timestamp() - make_interval(secs => $8)
    union all
    select
        p.id, p.provider, p.account, p.provider_ref, p.updated_at,
        case when $10::text is not null then p.facts end as facts
    from payments as p
    where 'pending' = any($4::text[])
        and p.provider = $1
        and lower(p.account) = $2
        and p.merged_into is null
        and p.provider_ref is not null
        and p.refund_status = 'partial'
        and jsonb_path_exists(p.facts, '$.keyvalue() ? (@.key starts with "refund:" && @.value[0] == "pending")')
        and not coalesce(p.status = any($3::text[]) or p.dispute_status = any($5::text[]), false)
        and p.updated_at < clock_timestamp() - make_interval(secs => $6)
        and p.created_at > clock_timestamp() - make_interval(secs => $8)
        and p.updated_at > clock_timestamp() - make_interval(secs => $8)
), named as (
    select provider, account, provider_ref as ref, updated_at
    from open
    where $10::text is null
    union all
    select open.provider, open.account, child.kind || ':' || child.ref, open.updated_at
    from open
    join payment_refs as child on child.payment_id = open.id and child.kind = $10
    where length(child.kind || ':' || child.ref) <= 255
        and (child.kind <> 'refund' or open.facts -> ('refund:' || child.ref) ->> 0 = 'pending')
        and (child.kind <> 'dispute' or open.facts -> ('dispute:' || child.ref) ->> 0 = any($5::text[]))
), silent as (
    select provider, account, ref
    from named
    where not exists (
        select
        from refetches as asked
        where (asked.ref, asked.provider, asked.account) = (named.ref, named.provider, named.account)
            and (
                asked.status = 'queued'
                or asked.updated_at > clock_timestamp() - make_interval(secs => $7)
                or (asked.status = 'failed' and asked.next_attempt_at > clock_timestamp())
            )
    )
    group by provider, account, ref
    order by min(updated_at)
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
