-- $1 client, $2 provider, $3 account, $4 merchant account, $5 livemode, $6 provider_ref, $7 reference: a promise that
-- stands in the way, in the ledger or only recorded. Of a reference it is whoever's that is live in the same scope; a
-- payment that ended without money gives its reference free. A provider's id it is the client's own: another's intent for
-- it may not fit the payment, and the consumer decides that. A merchant account that is left out may be any.
select promised.payment_id, promised.client
from (
    select intent_claims.payment_id, intent_claims.client
    from intent_claims
    left join payments on payments.id = intent_claims.payment_id
    where
        command = 'create'
        and intent_claims.reference = $7
        and intent_claims.provider = $2
        and intent_claims.account = $3
        and coalesce(intent_claims.livemode, true) = $5
        and (coalesce(intent_claims.merchant_account, '') in ('', $4) or $4 = '')
        and (payments.captured > 0 or coalesce(payments.status, '') not in ('canceled', 'expired', 'failed'))
    union
    select payment_id, client
    from intent_claims
    where command = 'create' and client = $1 and provider = $2 and account = $3 and provider_ref = $6
    union
    select id, client
    from payments
    where
        client is not null
        and reference = $7
        and provider = $2
        and account = $3
        and livemode = $5
        and (merchant_account in ('', $4) or $4 = '')
        and (captured > 0 or status not in ('canceled', 'expired', 'failed'))
    union
    select payments.id, payments.client
    from payment_refs
    inner join payments on payments.id = payment_refs.payment_id
    where
        payments.client = $1
        and payment_refs.ref = $6
        and payment_refs.kind = 'payment'
        and payment_refs.provider = $2
        and payment_refs.account = $3
) as promised
order by (promised.client = $1) desc, promised.payment_id
limit 1
