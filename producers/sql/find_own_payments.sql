-- $1 client; one of $2 payment id, $3 an id of the provider's, $4 the client's reference; $5 rows. The client's payments,
-- in the ledger or only recorded. What was merged leads to what it became, and an attempt to the intent that adopted it.
with recursive named as (
    select id from payments where id = $2
    union
    select payment_id from payment_refs where ref = $3 and kind <> 'reference' and payment_id is not null
    union
    select id from payments where reference = $4 and client = $1
),
followed as (
    select payments.id, payments.merged_into, payments.intent_id
    from payments
    inner join named on named.id = payments.id
    union
    select payments.id, payments.merged_into, payments.intent_id
    from payments
    inner join followed on payments.id in (followed.merged_into, followed.intent_id)
)
select id
from (
    select payments.id, payments.created_at
    from payments
    inner join followed on followed.id = payments.id
    where payments.merged_into is null and payments.client = $1
    union
    select payment_id, created_at
    from intent_claims
    where
        client = $1
        and command = 'create'
        and (payment_id = $2 or provider_ref = $3 or reference = $4)
        and not exists (select from payments where payments.id = intent_claims.payment_id)
) as own
order by created_at, id
limit $5
