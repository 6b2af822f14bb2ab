-- migrate:up

-- A topic that was deleted and made anew is another one, though its offsets look like the old one's, read on.
alter table dlq_positions add column topic_id uuid;
comment on column dlq_positions.topic_id is
    'Kafka''s id of the topic that was looked through; null where brokers gave none: then the first one that is found counts';

-- migrate:down

alter table dlq_positions drop column topic_id;
