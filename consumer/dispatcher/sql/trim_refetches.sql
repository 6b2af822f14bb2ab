-- $1 how many failed refetches of ids that nobody knows are kept: the newest. Anybody can make such ids up, so they
-- must not fill the table.
delete from refetches
where id in (
    select id from refetches where status = 'failed' and not known order by updated_at desc, id desc offset $1
)
