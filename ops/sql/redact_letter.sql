-- $1 letter, $2 who, $3 from where, $4 why: tells what became of it.
select redact_dead_letter($1::bigint, $2, $3, $4) as became
