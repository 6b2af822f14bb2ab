-- migrate:up

-- Rows of no payment form no chain, so no anchor of a payment tells how many of them retention took. This one does: up to
-- which id, and how many in all, so that a seal of before still verifies. One row.
create table anchor_without_payment (
    single boolean primary key default true check (single),
    ledger_id bigint not null default 0 check (ledger_id >= 0),
    rows_removed bigint not null default 0 check (rows_removed >= 0),
    mac bytea check (length(mac) = 32),
    updated_at timestamptz not null default now()
);
comment on table anchor_without_payment is 'How many ledger rows of no payment retention removed, and the highest id among them.';
comment on column anchor_without_payment.mac is 'signature under RATCHET_AUDIT__SEAL_KEY, where retention had one';
insert into anchor_without_payment default values;

-- migrate:down

drop table anchor_without_payment;
