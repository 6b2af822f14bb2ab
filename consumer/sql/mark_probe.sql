-- Note that this very record is about to be touched, by itself; ends are counted anew at each one. A record below the
-- one noted was touched before and survived: it takes no blame away.
update consumer_marks set
    start_offset = least(start_offset, $3),
    unclean_ends = case when probing_offset = $3 then unclean_ends else least(unclean_ends, $4) end,
    probing_offset = $3,
    updated_at = now()
where topic = $1 and partition = $2 and (probing_offset is null or probing_offset <= $3)
