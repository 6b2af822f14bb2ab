-- $1 note, $2 who ends it
update dead_letter_notes
set ended_by = $2, ended_at = clock_timestamp()
where id = $1 and ended_at is null and silent_until > statement_timestamp()
returning id, note
