-- $1 our payment id as text, a provider's id, an id that many payments share or a merchant's reference; $2 rows. Merged rows lead to what they became.
with recursive named as (
    select id
    from payments
    where id = case when $1::text ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then $1::text::uuid end
    union
    select payment_id from payment_refs where ref = $1 and payment_id is not null
    union
    select payment_id from reference_payments where ref = $1
),
followed as (
    select payments.id, payments.merged_into
    from payments
    inner join named on named.id = payments.id
    union
    select payments.id, payments.merged_into
    from payments
    inner join followed on followed.merged_into = payments.id
)
select payments.*
from payments
inner join followed on followed.id = payments.id
where payments.merged_into is null
order by payments.client is null, payments.created_at, payments.id
limit $2
