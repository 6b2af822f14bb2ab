-- Who waited on this reference up to here has been woken: parked events up to $2, dead letters of orphans up to $3.
update wake_marks
set after_id = greatest(after_id, $2::bigint), after_letter_id = greatest(after_letter_id, $3::bigint)
where id = $1
