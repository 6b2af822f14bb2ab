-- $1 payment id, $2 client: the payment, or the one that it turned out to be, and what its facts show of captures and
-- refunds in any state.
with recursive followed as (
    select id, merged_into from payments where id = $1
    union
    select payments.id, payments.merged_into
    from payments
    inner join followed on payments.id = followed.merged_into
)
select
    payments.id, provider, account, provider_ref, reference, status, refund_status, dispute_status, currency, amount,
    authorized, captured, refunded, disputed, version, created_at, updated_at,
    greatest(captured, (select sum(amount) from captures where payment_id = payments.id))::bigint as captures_seen,
    greatest(
        refunded,
        (select sum(amount) from refunds where payment_id = payments.id),
        (
            select sum((fact.value ->> 1)::bigint)
            from jsonb_each(payments.facts) as fact
            where fact.key like 'refund\_total:%'
        )
    )::bigint as refunds_seen,
    coalesce(
        (select sum(coalesce(amount, captured)) from refunds where payment_id = payments.id and state = 'pending'), 0
    )::bigint as refunds_pending,
    coalesce(
        (select record_key from intent_claims where payment_id = payments.id and command = 'create'),
        provider_ref, reference, payments.id::text
    ) as record_key,
    array(
        select dispute_id
        from (
            select
                coalesce(fact.value ->> 2, substr(fact.key, strpos(fact.key, ':') + 1)) as dispute_id,
                case when fact.key like 'dispute\_out:%' then 1 else -1 end
                * coalesce((fact.value ->> 1)::bigint, captured) as taken
            from jsonb_each(payments.facts) as fact
            where fact.key like 'dispute\_out:%' or fact.key like 'dispute\_in:%'
        ) as moved
        group by dispute_id
        having sum(taken) > 0
        order by dispute_id
        limit 20
    ) as disputes,
    array(
        select substr(reversal.key, 10)
        from jsonb_each(payments.facts) as reversal
        where reversal.key like 'reversal:%' and reversal.value ->> 0 in ('failed', 'done')
        order by 1 limit 20
    ) as reversals
from payments
inner join followed on followed.id = payments.id
where payments.merged_into is null and payments.client = $2
