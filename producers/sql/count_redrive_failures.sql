-- $1 redrive: count the letters that came back although the dry run foresaw that they would not. One that was to
-- wait for its payment may have waited in vain by now.
update redrives
set failed = greatest(
    failed,
    (
        select count(*)
        from redrive_returns
        where redrive_id = $1 and would <> 'illegal' and (would <> 'orphan' or reason not in ('orphan', 'conflict'))
    )
)
where id = $1
returning failed, failed_before, published, published_before, policy, failure_ratio_max, failures_min
