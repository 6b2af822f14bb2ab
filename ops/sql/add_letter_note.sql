-- $1 reason, $2 source, $3 kind of event, $4 redrive, $5 the note, $6 who, $7 silent until; nothing where there is no
-- such redrive, or no open dead letter of that kind.
insert into dead_letter_notes (reason, source, event_type, redrive_id, note, author, silent_until)
select $1::text, $2::text, $3::text, $4::bigint, $5::text, $6::text, $7::timestamptz
where case
    when $4::bigint is not null then exists (select from redrives where id = $4)
    else exists (
        select
        from dead_letters
        where status = 'open' and reason = $1 and source is not distinct from $2 and event_type is not distinct from $3
    )
end
returning id
