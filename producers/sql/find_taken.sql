-- $1 client, $2 provider, $3 account, $4 provider_ref, $5 reference: the client's own payment that has one of these
-- names, in the books or only claimed.
select payment_id
from intent_claims
where
    command = 'create'
    and client = $1
    and (reference = $5 or (provider = $2 and account = $3 and provider_ref = $4))
union
select payments.id
from payment_refs
inner join payments on payments.id = payment_refs.payment_id
where
    payments.client = $1
    and (payment_refs.provider, payment_refs.account, payment_refs.kind, payment_refs.ref) in (
        ($2, $3, 'payment', $4), ($2, $3, 'reference', $5), ('ratchet', $1, 'reference', $5)
    )
limit 1
