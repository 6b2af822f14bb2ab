-- Ask again about money that a bank may still take back by itself, and forget what it can't any more. $1 provider and
-- $2 account (lower case) whose API can be asked; seconds $3 after which the first question is asked and $4 between two;
-- $5 how many at once: the longest silent first. What its API does not know is asked about when it is due again
-- (fail_refetch). Returns how many.
with over as (
    delete from debits where provider = $1 and lower(account) = $2 and until < clock_timestamp()
), due as (
    select provider, account, ref
    from debits
    where provider = $1
        and lower(account) = $2
        and until >= clock_timestamp()
        and coalesce(asked_at, noted_at)
            < clock_timestamp() - make_interval(secs => case when asked_at is null then $3::float8 else $4::float8 end)
        and not exists (
            select
            from refetches as asked
            where (asked.ref, asked.provider, asked.account) = (debits.ref, debits.provider, debits.account)
                and asked.status = 'failed'
                and asked.next_attempt_at > clock_timestamp()
        )
    order by coalesce(asked_at, noted_at)
    limit $5
    for update skip locked
), asked as (
    update debits set asked_at = clock_timestamp()
    from due
    where (debits.ref, debits.provider, debits.account) = (due.ref, due.provider, due.account)
), queued as (
    insert into refetches (provider, account, ref, reason, known, priority)
    select provider, account, ref, 'stale', true, 5
    from due
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
