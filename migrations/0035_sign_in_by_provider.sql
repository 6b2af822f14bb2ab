-- migrate:up

alter table console_sessions add column role text check (role in ('viewer', 'operator', 'admin'));
alter table console_sessions add constraint console_sessions_role check (role is null or operator_id is null);
comment on column console_sessions.role is
    'what somebody may do whom an OpenID provider signed in: as its claim said then; null for people of ours and the emergency password';

-- migrate:down

delete from console_sessions where role is not null;
alter table console_sessions drop constraint console_sessions_role;
alter table console_sessions drop column role;
