-- Note that records from this offset on are about to be touched; a clean stop removes the note.
insert into consumer_marks as m (topic, partition, start_offset, unclean_ends)
values ($1, $2, $3, 0)
on conflict (topic, partition) do update set
    start_offset = excluded.start_offset,
    unclean_ends = case
        when m.start_offset = excluded.start_offset or m.probing_offset >= excluded.start_offset
        then m.unclean_ends + 1 else 0 end,
    probing_offset = case when m.probing_offset >= excluded.start_offset then m.probing_offset end,
    updated_at = now()
returning unclean_ends, probing_offset
