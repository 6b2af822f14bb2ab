-- $1 name, $2 token, $3 seconds. An expired lease is lost, also when nobody has taken it yet.
update leases
set expires_at = clock_timestamp() + make_interval(secs => $3)
where name = $1 and token = $2 and expires_at > clock_timestamp()
returning token
