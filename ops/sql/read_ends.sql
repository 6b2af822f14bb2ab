-- $1 providers, $2 the providers' payment ids, $3 merchant accounts, pairwise; the URL's accounts are none. The row, and its ledger's versions.
select
    asked.provider, asked.ref, payments.id, payments.merchant_account, payments.livemode, payments.status,
    payments.refund_status, payments.dispute_status, payments.currency, payments.amount, payments.authorized,
    payments.captured, payments.refunded, payments.disputed, payments.flags, payments.version,
    versions.rows, versions.lowest, versions.highest
from unnest($1::text[], $2::text[], $3::text[]) as asked (provider, ref, merchant_account)
inner join payment_refs
    on payment_refs.provider = asked.provider and payment_refs.account = ''
    and payment_refs.merchant_account = asked.merchant_account and payment_refs.kind = 'payment' and payment_refs.ref = asked.ref
inner join payments as named on named.id = payment_refs.payment_id
inner join payments on payments.id = coalesce(named.merged_into, named.id)
cross join lateral (
    select count(distinct version) as rows, coalesce(min(version), 0) as lowest, coalesce(max(version), 0) as highest
    from payment_logs
    where payment_logs.payment_id = payments.id and version is not null
) as versions
