select name, role, one_time_until, added_by, added_at, signed_in_at from operators order by name
