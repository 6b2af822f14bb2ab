-- Let go of all partitions of a process: it has nothing in hand. One in quarantine goes on so at the next start.
update consumer_marks set probing_offset = null, owner = case when $2 then null else owner end, updated_at = now()
where owner = $1
