-- Letters of a job that ends before they were known to be in Kafka are open again, and wait for its resumption.
-- $1 redrive
with returned as (
    update redrive_messages set status = 'queued', claimed_at = null
    where redrive_id = $1 and status = 'publishing'
    returning dead_letter_id
)
update dead_letters set status = 'open'
where id in (select dead_letter_id from returned) and status = 'redriven'
