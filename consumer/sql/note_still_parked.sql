-- A parked event waits for something else than before.
update parked_events set reason = $2, detail = $3 where id = $1
