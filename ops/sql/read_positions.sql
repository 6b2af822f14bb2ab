-- How far payments.dlq was looked through, and which topic that was.
select partition, next_offset, topic_id from dlq_positions
