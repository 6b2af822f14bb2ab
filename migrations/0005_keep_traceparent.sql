-- migrate:up

-- Null wherever the event came without one: nothing is stored then, the row's null bitmap has room for it.
alter table payment_logs add column traceparent text check (length(traceparent) = 55);
comment on column payment_logs.traceparent is
    'W3C trace context of the event''s record; the relay hands it on to payments.changes. Not part of the hash';

-- migrate:down

alter table payment_logs drop column traceparent;
