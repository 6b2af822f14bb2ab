-- Each template goes out once a payment.
insert into sms_transactions (payment_id, to_number, template, status)
select n.payment_id, n.phone, n.template, 'queued'
from unnest($1::uuid[], $2::text[], $3::text[]) as n (payment_id, phone, template)
order by n.payment_id, n.template
on conflict (payment_id, template) do nothing
