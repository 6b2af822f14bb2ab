-- Who waits on this name up to $2 has been woken.
update wake_marks set after_id = greatest(after_id, $2) where id = $1
