-- Note which webhooks are lost, and count. $1 providers and $2 the seconds for which each tries to deliver a webhook.
with lost as (
    update recalled_events as r
    set lost_at = clock_timestamp()
    from unnest($1::text[], $2::double precision[]) as n (provider, retried)
    where split_part(r.source, '/', 1) = n.provider
        and r.first_at is not null
        and not r.history
        and r.webhook_at is null
        and r.lost_at is null
        and r.occurred_at < clock_timestamp() - make_interval(secs => n.retried)
    returning r.source
)
select
    n.provider,
    count(r.first_at) as recalled,
    count(r.lost_at) + (select count(*) from lost where split_part(lost.source, '/', 1) = n.provider) as lost
from unnest($1::text[]) as n (provider)
left join recalled_events as r
    on split_part(r.source, '/', 1) = n.provider and r.first_at is not null and not r.history
group by n.provider
