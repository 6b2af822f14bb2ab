delete from parked_events where id = any($1::bigint[]) returning id
