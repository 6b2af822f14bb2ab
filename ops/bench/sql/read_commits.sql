-- When each event's row was committed, in unix seconds; needs track_commit_timestamp.
select event_id, extract(epoch from pg_xact_commit_timestamp(xmin))::float8 as committed_at from payment_logs
