-- migrate:up

-- `audit verify` and `audit seal` read the rows of no payment in relay order. Without this the whole ledger was walked
-- for them in one statement, which on a large ledger takes longer than a statement may.
create index payment_logs_without_payment on payment_logs (relay_xid, id) where payment_id is null;

-- migrate:down

drop index payment_logs_without_payment;
