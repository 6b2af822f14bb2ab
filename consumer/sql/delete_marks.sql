-- All who waited on these references have been woken. One that was bound anew meanwhile has a mark of another id.
delete from wake_marks where id = any($1::bigint[])
