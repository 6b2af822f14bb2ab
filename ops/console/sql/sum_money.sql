-- What the payments come to, a currency, without test money; an intent's row has its attempts' money. Impossible ones
-- break refunded <= captured <= authorized without a flag that says so.
select
    currency, count(*) as payments, sum(authorized) as authorized, sum(captured) as captured, sum(refunded) as refunded,
    sum(disputed) as disputed, sum(captured - refunded - disputed) as net,
    count(*) filter (
        where (captured > authorized and not 'over_captured' = any(flags))
            or (refunded > captured and not 'over_refunded' = any(flags))
    ) as impossible
from payments
where merged_into is null and intent_id is null and livemode
group by currency
order by payments desc, currency
limit 200
