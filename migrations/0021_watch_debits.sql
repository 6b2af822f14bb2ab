-- migrate:up

-- Money that was taken and may come undone by itself: bank debits, which are asked about until their time is over.
create table debits (
    provider text not null check (length(provider) between 1 and 64),
    account text not null check (length(account) <= 64),
    ref text not null check (length(ref) between 1 and 255),
    noted_at timestamptz not null default now(),
    asked_at timestamptz,
    until timestamptz not null,
    primary key (ref, provider, account)
);
comment on table debits is 'Payments whose money a bank may take back by itself until then: their provider is asked again.';
create index debits_due on debits (provider, coalesce(asked_at, noted_at));

-- migrate:down

drop table debits;
