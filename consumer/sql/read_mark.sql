-- Lock and read what is noted of a partition.
select owner, start_offset, unclean_ends, careful_until, probing_offset from consumer_marks
where topic = $1 and partition = $2
for update
