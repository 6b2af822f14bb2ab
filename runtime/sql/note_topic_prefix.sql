-- $1 the prefix that this process is configured with; the first one stays.
insert into topic_prefix (prefix) values ($1) on conflict (only_one) do nothing
