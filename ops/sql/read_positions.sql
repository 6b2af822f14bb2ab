-- How far payments.dlq was looked through.
select partition, next_offset from dlq_positions
