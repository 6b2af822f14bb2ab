-- migrate:up

-- A flag is older than the payment's last change: since when it stands is what somebody on call asks.
alter table payments add column flagged_at timestamptz;
update payments set flagged_at = updated_at where flags <> '{}';
alter table payments add constraint payments_flagged_at_check check (flags <> '{}' or flagged_at is null);
comment on column payments.flagged_at is 'since when the payment has had a flag without a pause';
create index payments_flagged_at on payments (flagged_at) where flagged_at is not null;

-- The flag of that name says it, against what was authorized.
alter table payments drop column over_captured;

-- migrate:down

alter table payments add column over_captured boolean generated always as (amount > 0 and captured > amount) stored;
comment on column payments.over_captured is 'more was taken than was asked for: some providers allow it';
drop index payments_flagged_at;
alter table payments drop column flagged_at;
