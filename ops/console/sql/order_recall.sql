-- $1 provider, $2 account, $3 since, $4 until, $5 dry run, $6 who, $7 why, $8 orders that may be open; nothing where one of
-- the provider is open, or as many as may be.
insert into recall_orders (provider, account, since, until, dry_run, requested_by, because)
select $1::text, $2::text, $3::timestamptz, $4::timestamptz, $5::boolean, $6::text, $7::text
where (select count(*) from recall_orders where status in ('queued', 'running')) < $8::bigint
on conflict (provider) where status in ('queued', 'running') do nothing
returning id
