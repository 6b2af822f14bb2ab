-- migrate:up transaction:false

drop index concurrently if exists reference_payments_xid;
create index concurrently reference_payments_xid on reference_payments (xid) where xid is not null;

-- migrate:down

drop index reference_payments_xid;
