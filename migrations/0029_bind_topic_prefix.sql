-- migrate:up

-- Which topics the rows of this database speak of: places in the ledger, offsets and dead letters name topics, cursors and
-- the outbox say what was published to them. The first process that starts notes its prefix; one with another is refused.
create table topic_prefix (
    only_one boolean primary key default true check (only_one),
    prefix text not null check (length(prefix) between 1 and 249),
    noted_at timestamptz not null default clock_timestamp()
);
comment on table topic_prefix is 'The prefix of the topics that this database belongs to: one row, or none before the first start.';
insert into topic_prefix (prefix)
select 'payments.'
where exists (select from consumer_offsets) or exists (select from payment_logs) or exists (select from spool);

-- migrate:down

drop table topic_prefix;
