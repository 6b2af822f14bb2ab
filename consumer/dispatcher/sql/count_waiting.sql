-- $1 providers and $2 accounts whose API is configured. What waits, and what waits for a key that nobody configured. A
-- hint without a key waits too, for it tells of money that nothing else does; what events only contradicted does not.
select
    (
        select count(*)
        from refetches
        where status = 'queued'
            and (reason = 'hint' or (provider, lower(account)) in (select * from unnest($1::text[], $2::text[])))
    ) as refetches,
    (select count(*) from sms_transactions where status in ('queued', 'sending')) as sms,
    array(
        select distinct provider || case when account = '' then '' else '/' || account end
        from refetches
        where status = 'queued'
            and (provider, lower(account)) not in (select * from unnest($1::text[], $2::text[]))
        limit 20
    ) as without_key
