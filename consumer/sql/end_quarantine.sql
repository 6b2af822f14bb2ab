-- The hunt is over: its record is found, or all that was in hand at the ends was touched and survived.
update consumer_marks set careful_until = null, probing_offset = null, unclean_ends = 0, updated_at = now()
where topic = $1 and partition = $2 and owner = $3
