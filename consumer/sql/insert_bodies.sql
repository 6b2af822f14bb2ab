-- A body whose event became a dead letter meanwhile goes to the event that comes now.
insert into body_claims (source, digest, event_id)
select n.source, n.digest, n.event_id
from unnest($1::text[], $2::bytea[], $3::text[]) as n (source, digest, event_id)
order by n.source, n.digest
on conflict (source, digest) do update set event_id = excluded.event_id
