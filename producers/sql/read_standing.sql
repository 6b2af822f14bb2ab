-- $1 payment id, $2 client: the payment, or the one that it turned out to be, and what its facts and those of its
-- attempts show of captures and refunds in any state; and its newest commands by the API.
with recursive followed as (
    select id, merged_into from payments where id = $1
    union
    select payments.id, payments.merged_into
    from payments
    inner join followed on payments.id = followed.merged_into
),
family as (
    select payments.id, payments.facts
    from payments
    inner join followed on payments.id = followed.id or payments.intent_id = followed.id
    where payments.merged_into is null
)
select
    payments.id, provider, account, provider_ref, reference, status, refund_status, dispute_status, currency, amount,
    authorized, captured, refunded, disputed, version, created_at, updated_at, merchant_account, livemode, flags,
    metadata::text as metadata,
    greatest(captured, (select sum(amount) from captures where payment_id in (select family.id from family)))::bigint as captures_seen,
    greatest(
        refunded,
        (select sum(amount) from refunds where payment_id in (select family.id from family)),
        (
            select sum((fact.value ->> 1)::bigint)
            from family, jsonb_each(family.facts) as fact
            where fact.key like 'refund\_total:%'
        )
    )::bigint as refunds_seen,
    coalesce(
        (
            select sum(coalesce(refunds.amount, payments.captured))
            from refunds where refunds.payment_id in (select family.id from family) and refunds.state = 'pending'
        ),
        0
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
                * coalesce((fact.value ->> 1)::bigint, member.captured) as taken
            from payments as member
            cross join lateral jsonb_each(member.facts) as fact
            where member.id in (select family.id from family)
                and (fact.key like 'dispute\_out:%' or fact.key like 'dispute\_in:%')
        ) as moved
        group by dispute_id
        having sum(taken) > 0
        order by dispute_id
        limit 20
    ) as disputes,
    array(
        select substr(reversal.key, 10)
        from payments as member
        cross join lateral jsonb_each(member.facts) as reversal
        where member.id in (select family.id from family)
            and reversal.key like 'reversal:%' and reversal.value ->> 0 in ('failed', 'done')
        order by 1 limit 20
    ) as reversals,
    coalesce(
        (
            select json_agg(one order by one.asked_at)
            from (
                select
                    event_id as id, command, amount, coalesce(state, 'asked') as state, refusal as reason,
                    created_at as asked_at
                from intent_claims as claim
                where claim.payment_id = payments.id and claim.client = $2 and claim.command <> 'create'
                order by claim.created_at desc
                limit 50
            ) as one
        )::text, '[]'
    ) as commands
from payments
inner join followed on followed.id = payments.id
where payments.merged_into is null and payments.client = $2
