-- Keep what clients noted on their intents.
update payments p
set metadata = n.metadata
from unnest($1::uuid[], $2::text[]::jsonb[]) as n (id, metadata)
where p.id = n.id
