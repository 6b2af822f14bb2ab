-- Note that a process takes a partition up.
insert into consumer_marks as m
    (topic, partition, owner, start_offset, unclean_ends, careful_until, probing_offset)
values ($1, $2, $3, $4, $5, $6, null)
on conflict (topic, partition) do update set
    owner = excluded.owner,
    start_offset = excluded.start_offset,
    unclean_ends = excluded.unclean_ends,
    careful_until = excluded.careful_until,
    probing_offset = null,
    updated_at = now()
