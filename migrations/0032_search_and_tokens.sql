-- migrate:up

-- One index for every search: it is read in the order of time, and what else is asked for is compared inside it, so that
-- a page costs a look through this index at most, and no visit to rows that do not fit.
create index payments_found on payments (
    created_at, id, provider, status, dispute_status, livemode, account, client, currency, amount
) where merged_into is null;

create table operator_tokens (
    id bigint generated always as identity primary key,
    operator_id bigint not null references operators (id) on delete cascade,
    role text not null check (role in ('viewer', 'operator', 'admin')),
    digest bytea not null unique check (length(digest) = 32),
    ends_at timestamptz not null,
    made_by text not null check (length(made_by) between 1 and 128),
    made_at timestamptz not null default clock_timestamp(),
    check (ends_at > made_at)
);
comment on table operator_tokens is 'What opens /admin/v1 for a person, until its end: never for more than the person may do.';
comment on column operator_tokens.digest is 'SHA-256 of the token, which has 256 random bits: whoever reads the table can''t use one';
create index operator_tokens_operator on operator_tokens (operator_id);

-- migrate:down

drop table operator_tokens;
drop index payments_found;
