-- migrate:up

-- payments.state has a cursor of its own, from the ledger's beginning on: what stands already fills the topic too.
alter table relay_cursors drop constraint relay_cursors_name_check;
alter table relay_cursors add check (name in ('changes', 'dead_letters', 'state'));
insert into relay_cursors (name, system_identifier)
select 'state', system_identifier from relay_cursors where name = 'changes';
alter table relay_cursors add epoch bigint check (epoch > 0);
comment on column relay_cursors.epoch is 'of state: the epoch that the topic was filled under; in another one it is filled anew';

alter table intent_claims add metadata jsonb check (jsonb_typeof(metadata) = 'object');
comment on column intent_claims.metadata is 'of a create: what the client noted, until the payment is there';

-- migrate:down

alter table intent_claims drop metadata;
alter table relay_cursors drop epoch;
delete from relay_cursors where name = 'state';
alter table relay_cursors drop constraint relay_cursors_name_check;
alter table relay_cursors add check (name in ('changes', 'dead_letters'));
