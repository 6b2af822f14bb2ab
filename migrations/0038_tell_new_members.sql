-- migrate:up

-- A batch looks its groups up before it has their locks, and must know what came to them while it waited. Rows of before
-- have none, which is as good as seen. No default in the first step: it would be written into each row.
alter table reference_payments add column xid bigint;
alter table reference_payments alter column xid set default pg_current_xact_id()::text::bigint;
comment on column reference_payments.xid is 'the transaction that wrote the row, by which others tell what came since their snapshot';

-- migrate:down

alter table reference_payments drop column xid;
