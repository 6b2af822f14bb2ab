-- $1 name, $2 role, $3 hash of the one-time password, $4 how many hours that opens the console, $5 who adds
insert into operators (name, role, password_hash, one_time_until, added_by)
values ($1, $2, $3, clock_timestamp() + make_interval(hours => $4), $5)
on conflict (name) do nothing
returning id, one_time_until
