-- $1 name; the sessions go with the row.
delete from operators where name = $1 returning role
