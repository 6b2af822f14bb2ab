-- Note that a page was read. $1 provider, $2 account, $3 list, $4 turns as read; $5 since and $6 until of the span and
-- $7 its next page: all null where the span is over; $8 until when the list has been read then. No row: another has
-- written meanwhile.
update recall_cursors
set since = $5,
    until = $6,
    page = $7,
    read_until = greatest(read_until, $8),
    turns = turns + 1,
    asked_at = clock_timestamp(),
    last_error = null
where provider = $1 and account = $2 and list = $3 and turns = $4
returning turns
