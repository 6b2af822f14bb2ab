-- $1 payments: those, all that they turned out to be, and the intents whose attempts they are.
with recursive followed as (
    select id, merged_into, intent_id from payments where id = any($1::text::uuid[])
    union
    select payments.id, payments.merged_into, payments.intent_id
    from followed
    cross join lateral (values (followed.merged_into), (followed.intent_id)) as next (id)
    inner join payments on payments.id = next.id
)
select id from followed
