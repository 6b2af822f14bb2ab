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

-- migrate:down

drop table body_claims, refetches;
