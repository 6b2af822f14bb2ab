-- migrate:up

create table operators (
    id bigint generated always as identity primary key,
    name text not null unique
        check (name ~ '^[a-z0-9][a-z0-9._@+-]{0,62}$' and name not in ('emergency', 'unnamed', 'unknown')),
    role text not null check (role in ('viewer', 'operator', 'admin')),
    password_hash text not null check (length(password_hash) between 16 and 512),
    one_time_until timestamptz,
    added_by text not null check (length(added_by) between 1 and 128),
    added_at timestamptz not null default clock_timestamp(),
    signed_in_at timestamptz
);
comment on table operators is 'The people of the console: what each may do at most, and the hash of a password.';
comment on column operators.one_time_until is
    'until when the password that `ratchet operator add` printed opens the page for choosing one''s own; null once chosen';

alter table console_sessions add column operator_id bigint references operators (id) on delete cascade;
comment on column console_sessions.operator_id is
    'whose it is; null for the emergency password. Whoever is removed is signed out, and comes back under no old session';
create index console_sessions_of on console_sessions (operator_id);

-- migrate:down

delete from console_sessions where operator_id is not null;
alter table console_sessions drop column operator_id;
drop table operators;
