-- $1 name, $2 token, $3 holder, $4 seconds. An expired lease is lost, also when nobody has taken it yet.
update leases
set expires_at = clock_timestamp() + make_interval(secs => $4)
where name = $1 and token = $2 and holder = $3 and expires_at > clock_timestamp()
returning token
