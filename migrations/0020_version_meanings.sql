-- migrate:up

-- By which version of its provider's meaning an event was read: facts are compared only within one. Rows from before
-- were read by versions that nobody noted.
alter table payment_logs add column meaning smallint not null default 0 check (meaning >= 0);
comment on column payment_logs.meaning is
    'the version of the provider''s meaning that the facts were read by; 0 from before it was noted. Not part of the hash';
alter table parked_events add column meaning smallint not null default 0 check (meaning >= 0);
comment on column parked_events.meaning is 'the version of the provider''s meaning that the facts were read by';

-- migrate:down

alter table parked_events drop column meaning;
alter table payment_logs drop column meaning;
