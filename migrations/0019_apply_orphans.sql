-- migrate:up

-- A dead letter of an event whose payment did not come in time goes on waiting: it is applied when the payment comes after all.
create table orphan_refs (
    provider text not null,
    account text not null,
    merchant_account text not null,
    livemode boolean not null,
    kind text not null,
    ref text not null,
    letter_id bigint not null references dead_letters on delete cascade,
    primary key (ref, kind, provider, account, merchant_account, livemode, letter_id)
);
comment on table orphan_refs is 'The references on which dead letters of orphans wait.';
create index orphan_refs_letter on orphan_refs (letter_id);

alter table wake_marks add column after_letter_id bigint not null default 0;
comment on column wake_marks.after_letter_id is 'dead letters of orphans up to this id have been tried';

alter table dead_letters drop constraint dead_letters_status_check;
alter table dead_letters add constraint dead_letters_status_check
    check (status in ('open', 'redriven', 'applied', 'discarded'));

-- migrate:down

-- What was applied is in the ledger: the nearest of the words that are left is the one that nobody acts on.
update dead_letters set status = 'redriven' where status = 'applied';
alter table dead_letters drop constraint dead_letters_status_check;
alter table dead_letters add constraint dead_letters_status_check check (status in ('open', 'redriven', 'discarded'));
alter table wake_marks drop column after_letter_id;
drop table orphan_refs;
