-- $1 name, $2 token, $3 holder. The row stays: its token must never run backwards.
update leases
set expires_at = clock_timestamp()
where name = $1 and token = $2 and holder = $3 and expires_at > clock_timestamp()
