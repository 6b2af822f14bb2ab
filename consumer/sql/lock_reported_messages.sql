-- Delivery reports and the record of what was sent wait for each other: neither may miss the other's row.
select pg_advisory_xact_lock(hashtextextended(sid, 0)) from unnest($1::text[]) as n (sid) order by sid
