-- $1 payment id, $2 client: the payment, or the one that it turned out to be, and what its facts and those of its
-- attempts show of captures and refunds in any state; its newest commands; and the attempts that it has adopted. A command
-- that nobody ended is `expired` when silence has freed its money, $3 seconds after its expiry.
with recursive followed as (
    select id, merged_into from payments where id = $1
    union
    select payments.id, payments.merged_into
    from payments
    inner join followed on payments.id = followed.merged_into
),
family as (
    select payments.id, payments.facts, payments.captured
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
            select sum(coalesce(refunds.amount, family.captured))
            from refunds inner join family on family.id = refunds.payment_id
            where refunds.state = 'pending'
        ),
        0
    )::bigint as refunds_pending,
    coalesce(
        (select record_key from intent_claims where payment_id = payments.id and command = 'create'),
        provider_ref, reference, payments.id::text
    ) as record_key,
    array(
        select distinct dispute_id
        from (
            select
                dispute_id,
                case
                    when bool_or(amount is null) filter (where withdrawn) then max(captured) filter (where withdrawn)
                    else sum(amount) filter (where withdrawn)
                end as taken,
                bool_or(amount is null) filter (where not withdrawn) as all_given,
                sum(amount) filter (where not withdrawn) as given,
                round < max(round) over (partition by dispute_id) as is_over
            from (
                select
                    family.captured, fact.key like 'dispute\_out:%' as withdrawn, (fact.value ->> 1)::bigint as amount,
                    coalesce(fact.value ->> 2, substr(fact.key, strpos(fact.key, ':') + 1)) as dispute_id,
                    coalesce((fact.value ->> 3)::bigint, 0) as round
                from family, jsonb_each(family.facts) as fact
                where fact.key like 'dispute\_out:%' or fact.key like 'dispute\_in:%'
            ) as parts
            group by dispute_id, round
        ) as rounds
        where taken > coalesce(given, 0) and not coalesce(all_given, is_over)
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
            select json_agg(one order by one.asked_at, one.id)
            from (
                select *
                from (
                    select
                        command_id as id, command, amount,
                        case
                            when coalesce(state, 'accepted') = 'accepted'
                                and expires_at <= clock_timestamp() - make_interval(secs => $3) then 'expired'
                            else coalesce(state, 'asked')
                        end as state,
                        refusal as reason, attempt_id, asked_at, expires_at
                    from commands
                    where commands.payment_id = payments.id and commands.client = $2
                    union all
                    select
                        event_id, command, amount, coalesce(state, 'asked'), refusal, attempt_id, created_at, null
                    from intent_claims as request
                    where
                        request.payment_id = payments.id and request.client = $2 and request.command <> 'create'
                        and not exists (
                            select from commands
                            where commands.payment_id = request.payment_id and commands.command_id = request.event_id
                        )
                ) as found
                order by asked_at desc, id desc
                limit 50
            ) as one
        )::text, '[]'
    ) as commands,
    coalesce(
        (
            select json_agg(one order by one.id)
            from (
                select
                    attempt.id, attempt.provider_ref, attempt.status, attempt.dispute_status, attempt.currency,
                    attempt.amount, attempt.authorized, attempt.captured, attempt.refunded, attempt.disputed,
                    greatest(
                        attempt.captured, (select sum(amount) from captures where payment_id = attempt.id)
                    )::bigint as captures_seen,
                    greatest(
                        attempt.refunded,
                        (select sum(amount) from refunds where payment_id = attempt.id),
                        (
                            select sum((fact.value ->> 1)::bigint)
                            from jsonb_each(attempt.facts) as fact
                            where fact.key like 'refund\_total:%'
                        )
                    )::bigint as refunds_seen,
                    coalesce(
                        (
                            select sum(coalesce(refunds.amount, attempt.captured))
                            from refunds where refunds.payment_id = attempt.id and refunds.state = 'pending'
                        ),
                        0
                    )::bigint as refunds_pending
                from payments as attempt
                where attempt.intent_id = payments.id and attempt.merged_into is null
                order by attempt.id
                limit 100
            ) as one
        )::text, '[]'
    ) as attempts
from payments
inner join followed on followed.id = payments.id
where payments.merged_into is null and payments.client = $2
