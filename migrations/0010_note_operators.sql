-- migrate:up

create table operator_actions (
    id bigint generated always as identity primary key,
    acted_at timestamptz not null default clock_timestamp(),
    who text not null check (length(who) between 1 and 128),
    origin text not null check (length(origin) between 1 and 128),
    action text not null check (action ~ '^[a-z_.]{1,64}$'),
    target text not null check (length(target) <= 400),
    because text not null check (length(because) <= 500),
    db_role text not null default session_user
);
comment on table operator_actions is
    'What people did or looked at in clear: who, from where, what, on what, why, when. Rows are only added.';
comment on column operator_actions.db_role is 'the role that wrote the row, as Postgres knows it: nobody can name another';
create index operator_actions_recent on operator_actions (acted_at);

create table console_keys (
    only_one boolean primary key default true check (only_one),
    signing_key bytea not null check (length(signing_key) = 32),
    password_hash text not null check (length(password_hash) between 16 and 512),
    made_at timestamptz not null default clock_timestamp()
);
comment on table console_keys is
    'What signs the console''s cookies: random, so that no cookie tells anything of the password. Another password, another key.';

create table console_sessions (
    digest bytea primary key check (length(digest) = 32),
    person text not null check (length(person) between 1 and 128),
    address text not null check (length(address) between 1 and 64),
    began_at timestamptz not null default clock_timestamp(),
    used_at timestamptz not null default clock_timestamp(),
    check (used_at >= began_at)
);
comment on table console_sessions is 'Who is signed in to the console; a row that is gone is a session that ended, in every replica.';
comment on column console_sessions.digest is 'SHA-256 of the session''s id: whoever reads the table can''t take a session over';

-- migrate:down

drop table console_sessions, console_keys, operator_actions;
