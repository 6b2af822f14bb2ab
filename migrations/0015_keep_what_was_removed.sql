-- migrate:up

-- An anchor keeps where it stands, so that it never moves back, and what the rows that are gone had said, so that a
-- payment can still be held against its ledger. Those of before stand at the beginning and hold what the payment held.
alter table ledger_anchors
    add column relay_xid bigint not null default 0 check (relay_xid >= 0),
    add column ledger_id bigint not null default 0 check (ledger_id >= 0),
    add column facts text not null default '{}',
    add column mac bytea check (length(mac) = 32);
update ledger_anchors a set facts = p.facts::text from payments p where p.id = a.payment_id;
alter table ledger_anchors alter column relay_xid drop default, alter column ledger_id drop default,
    alter column facts drop default;
comment on column ledger_anchors.ledger_id is 'the last row removed; with relay_xid its place in the ledger';
comment on column ledger_anchors.facts is 'what the rows removed had said, joined; as payments.facts, but as it was written';
comment on column ledger_anchors.mac is 'signature of the anchor under RATCHET_AUDIT__SEAL_KEY, where retention had one';

-- migrate:down

alter table ledger_anchors drop column mac, drop column facts, drop column ledger_id, drop column relay_xid;
