-- What must be dropped before these tables are filled fast, foreign keys first, and how it is made again.
select format('alter table %s drop constraint %I', conrelid::regclass, conname) as gone,
    format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as back
from pg_constraint
where contype in ('p', 'u', 'f')
  and (conrelid = any($1::regclass[]) or (contype = 'f' and confrelid = any($1::regclass[])))
order by contype <> 'f'
