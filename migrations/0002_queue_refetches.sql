-- migrate:up

create table refetches (
    id bigint generated always as identity primary key,
    provider text not null check (length(provider) between 1 and 64),
    account text not null check (length(account) <= 64),
    ref text not null check (length(ref) between 1 and 255),
    reason text not null check (reason in ('hint', 'contradiction')),
    status text not null default 'queued' check (status in ('queued', 'done', 'failed')),
    attempts integer not null default 0 check (attempts >= 0),
    next_attempt_at timestamptz not null default now(),
    last_error text check (length(last_error) <= 500),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table refetches is 'Payments whose provider must be asked again: unsigned hints and contradictions.';
create unique index refetches_open on refetches (provider, account, ref) where status = 'queued';
create index refetches_due on refetches (next_attempt_at) where status = 'queued';

create table body_claims (
    source text not null check (length(source) between 1 and 192),
    digest bytea not null check (length(digest) = 32),
    event_id text not null check (length(event_id) between 1 and 400),
    primary key (source, digest)
);
comment on table body_claims is
    'Bodies that were taken from senders whose event ids are unsigned: a replay under another id is no new event.';

create table ledger_anchors (
    payment_id uuid primary key references payments (id),
    hash bytea not null check (length(hash) = 32),
    version bigint not null check (version >= 0),
    rows_removed bigint not null check (rows_removed > 0),
    updated_at timestamptz not null default now()
);
comment on table ledger_anchors is
    'Where a payment''s chain begins since retention removed its oldest rows: the hash and version of the last of them.';

alter table payments add column over_captured boolean generated always as (amount > 0 and captured > amount) stored;
comment on column payments.over_captured is 'more was taken than was asked for: some providers allow it';

alter table payments add column phone text check (phone ~ '^\+[1-9][0-9]{6,14}$');
comment on column payments.phone is 'the customer''s number (E.164) as the intent gave it';

create view captures as
select p.id as payment_id, substr(f.key, 9) as capture_id, f.value ->> 0 as state, (f.value ->> 1)::bigint as amount
from payments p cross join lateral jsonb_each(p.facts) f
where p.merged_into is null and f.key like 'capture:%';
comment on view captures is 'The captures of every payment, as its facts have them. Amounts are minor units.';

create view refunds as
select p.id as payment_id, substr(f.key, 8) as refund_id, f.value ->> 0 as state, (f.value ->> 1)::bigint as amount
from payments p cross join lateral jsonb_each(p.facts) f
where p.merged_into is null and f.key like 'refund:%';
comment on view refunds is 'The refunds of every payment that are known by id.';

create view disputes as
select p.id as payment_id, substr(f.key, 9) as dispute_id, f.value ->> 0 as state,
    p.facts -> ('dispute_funds:' || substr(f.key, 9)) ->> 0 as funds_state,
    (p.facts -> ('dispute_funds:' || substr(f.key, 9)) ->> 1)::bigint as funds_amount
from payments p cross join lateral jsonb_each(p.facts) f
where p.merged_into is null and f.key like 'dispute:%';
comment on view disputes is 'The disputes of every payment, with the money that each took or gave back.';

-- migrate:down

drop view disputes, refunds, captures;
alter table payments drop column over_captured, drop column phone;
drop table ledger_anchors, body_claims, refetches;
