-- Note that this very record is about to be touched, by itself.
update consumer_marks set probing_offset = $3, updated_at = now() where topic = $1 and partition = $2
