-- migrate:up

create table operator_action_heads (
    only_one boolean primary key default true check (only_one),
    last_id bigint not null default 0 check (last_id >= 0),
    hash bytea not null default '' check (length(hash) = case last_id when 0 then 0 else 32 end)
);
comment on table operator_action_heads is 'Where the chain of what people did ends: a row that is taken off its end shows.';

create function hash_operator_action(before bytea, action operator_actions) returns bytea
language sql stable set search_path = pg_catalog, pg_temp as $$
    select sha256(before || string_agg(convert_to(octet_length(convert_to(value, 'UTF8')) || ':' || value, 'UTF8'), ''::bytea
        order by place))
    from unnest(array[
        action.id::text, (extract(epoch from action.acted_at) * 1000000)::bigint::text, action.who, action.origin,
        action.action, action.target, action.because, action.db_role
    ]) with ordinality as field (value, place)
$$;
comment on function hash_operator_action(bytea, operator_actions) is
    'SHA-256 of the hash before and of each value behind its length; `ratchet audit verify` computes the same.';

alter table operator_actions alter column id drop identity;
alter table operator_actions add column hash bytea;

do $$
declare
    one public.operator_actions%rowtype;
    head bytea := '';
begin
    for one in select * from public.operator_actions order by id loop
        head := public.hash_operator_action(head, one);
        update public.operator_actions set hash = head where id = one.id;
    end loop;
    insert into public.operator_action_heads (last_id, hash) values (coalesce(one.id, 0), head);
end
$$;
alter table operator_actions alter column hash set not null, add check (length(hash) = 32);
comment on column operator_actions.hash is 'of this row and of the one before; the trigger gives id, time, role and hash, nobody else can';

create function chain_operator_action() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    head public.operator_action_heads%rowtype;
begin
    select * into strict head from public.operator_action_heads for update;
    new.id := head.last_id + 1;
    new.acted_at := clock_timestamp();
    new.db_role := session_user;
    new.hash := public.hash_operator_action(head.hash, new);
    update public.operator_action_heads set last_id = new.id, hash = new.hash;
    return new;
end
$$;
comment on function chain_operator_action() is
    'One after the other: whoever writes an action waits until the one before is committed, so note it last.';
revoke all on function chain_operator_action() from public;
create trigger chain_operator_action before insert on operator_actions
    for each row execute function chain_operator_action();

-- migrate:down

drop trigger chain_operator_action on operator_actions;
drop function chain_operator_action();
drop function hash_operator_action(bytea, operator_actions);
alter table operator_actions drop column hash;
alter table operator_actions alter column id add generated always as identity;
select setval(pg_get_serial_sequence('operator_actions', 'id'), greatest(last_id, 1)) from operator_action_heads;
drop table operator_action_heads;
