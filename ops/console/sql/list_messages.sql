-- $1 a payment's id. The messages to its customer.
select template, status, attempts, to_number, created_at from sms_transactions where payment_id = $1 order by id
