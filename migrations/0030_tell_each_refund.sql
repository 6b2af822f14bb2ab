-- migrate:up

-- Each refund has a message of its own: which one it is of, and how much it gave back.
alter table sms_transactions
    add column child text not null default '' check (length(child) <= 400),
    add column amount bigint check (amount >= 0),
    drop constraint sms_transactions_once,
    add constraint sms_transactions_once unique (payment_id, template, child);
comment on table sms_transactions is 'Messages to customers: each template once a payment, of refunds once a refund.';
comment on column sms_transactions.child is 'the refund that the message is of: its id, or how much was given back with it; empty of other messages';
comment on column sms_transactions.amount is 'what the message says in minor units, where that is not a figure of the payment';

-- migrate:down

delete from sms_transactions as later
using sms_transactions as first
where later.payment_id = first.payment_id and later.template = first.template and later.id > first.id;
alter table sms_transactions
    drop constraint sms_transactions_once,
    drop column amount,
    drop column child,
    add constraint sms_transactions_once unique (payment_id, template);
comment on table sms_transactions is 'Messages to customers: each template once a payment.';
