-- Minutes for a day and a bit, hours for a week and a bit.
delete from outcome_counts
where (seconds < 3600 and began_at < clock_timestamp() - interval '26 hours')
    or (seconds = 3600 and began_at < clock_timestamp() - interval '8 days')
