-- $1 key, $2 hash of the password; another console that starts may have been first.
insert into console_keys (signing_key, password_hash) values ($1, $2) on conflict do nothing
