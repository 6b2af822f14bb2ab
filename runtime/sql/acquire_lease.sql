-- $1 name, $2 holder, $3 seconds. A row comes back only to the one that holds the lease now.
-- While it stands, asking for it reads and locks nothing: a locked row would cost each of the waiting a commit.
insert into leases as held (name, holder, token, expires_at)
select $1::text, $2::text, 1, clock_timestamp() + make_interval(secs => $3)
where not exists (select from leases where name = $1 and expires_at > clock_timestamp())
on conflict (name) do update
set holder = excluded.holder,
    token = held.token + 1,
    expires_at = clock_timestamp() + make_interval(secs => $3)
where held.expires_at <= clock_timestamp()
returning token
