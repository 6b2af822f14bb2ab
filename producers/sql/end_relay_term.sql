-- End the term of a relay that is halted: what it holds is fenced off, and it asks anew, of ids that are this cluster's.
update leases set token = token + 1, expires_at = clock_timestamp()
where name = 'relay' and expires_at > clock_timestamp()
