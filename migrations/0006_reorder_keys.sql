-- migrate:up

-- The column that tells keys apart comes first, so that a look-up compares one text and not four; a look-up by the
-- reference alone then needs no index of its own.
alter table parked_refs drop constraint parked_refs_provider_account_kind_ref_fkey;
alter table payment_refs drop constraint payment_refs_pkey;
drop index payment_refs_ref;
alter table payment_refs add primary key (ref, kind, provider, account);
alter table parked_refs drop constraint parked_refs_pkey;
alter table parked_refs add primary key (ref, kind, provider, account, parked_id);
alter table parked_refs add foreign key (provider, account, kind, ref)
    references payment_refs (provider, account, kind, ref);
alter table payment_logs drop constraint payment_logs_claim;
alter table payment_logs add constraint payment_logs_claim unique (event_id, source);
alter table parked_events drop constraint parked_events_claim;
alter table parked_events add constraint parked_events_claim unique (event_id, source);

-- migrate:down

alter table parked_events drop constraint parked_events_claim;
alter table parked_events add constraint parked_events_claim unique (source, event_id);
alter table payment_logs drop constraint payment_logs_claim;
alter table payment_logs add constraint payment_logs_claim unique (source, event_id);
alter table parked_refs drop constraint parked_refs_provider_account_kind_ref_fkey;
alter table parked_refs drop constraint parked_refs_pkey;
alter table parked_refs add primary key (provider, account, kind, ref, parked_id);
alter table payment_refs drop constraint payment_refs_pkey;
alter table payment_refs add primary key (provider, account, kind, ref);
create index payment_refs_ref on payment_refs (ref);
alter table parked_refs add foreign key (provider, account, kind, ref)
    references payment_refs (provider, account, kind, ref);
