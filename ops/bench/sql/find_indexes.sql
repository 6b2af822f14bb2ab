-- The indexes of these tables that belong to no constraint.
select format('drop index %s', indexrelid::regclass) as gone, pg_get_indexdef(indexrelid) as back
from pg_index
where indrelid = any($1::regclass[]) and not exists (select from pg_constraint where conindid = indexrelid)
