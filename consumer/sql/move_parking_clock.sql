-- Note how the parking clock stands.
update parking_clock
set watermark = $1, moved_at = $2, began_at = $3, ended_at = $4, after_id = $5, waits_for = $6
