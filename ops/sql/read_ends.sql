-- $1 providers, $2 the providers' payment ids or references, $3 merchant accounts, $4 which of the two, pairwise. The
-- sample's endpoints have no account in their URL. A merchant's own reference stands without its merchant account (`_anywhere`
-- in consumer.resolve). The row, and its ledger's versions.
select
    asked.provider, asked.ref, payments.id, payments.merchant_account, payments.livemode, payments.status,
    payments.refund_status, payments.dispute_status, payments.currency, payments.amount, payments.authorized,
    payments.captured, payments.refunded, payments.disputed, payments.flags, payments.version, payments.intent_id,
    versions.rows, versions.lowest, versions.highest
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as asked (provider, ref, merchant_account, kind)
inner join payment_refs
    on payment_refs.provider = asked.provider and payment_refs.account = ''
    and payment_refs.kind = asked.kind
    and payment_refs.merchant_account = case asked.kind when 'reference' then '' else asked.merchant_account end
    and payment_refs.ref = asked.ref
cross join lateral surviving_payment(payment_refs.payment_id) as survivor
inner join payments on payments.id = survivor.id
cross join lateral (
    select count(distinct version) as rows, coalesce(min(version), 0) as lowest, coalesce(max(version), 0) as highest
    from payment_logs
    where payment_logs.payment_id = payments.id and version is not null
) as versions
