-- Each template goes out once a payment, that of refunds once a refund.
insert into sms_transactions (payment_id, to_number, template, child, amount, status)
select n.payment_id, n.phone, n.template, n.child, n.amount, 'queued'
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[]) as n (payment_id, phone, template, child, amount)
order by n.payment_id, n.template, n.child
on conflict (payment_id, template, child) do nothing
