#!/bin/sh
# Run once by the postgres image, on an empty data folder; it may be run again, also on a folder that older versions
# made. The owner of the schema; `ratchet_app`, whose name stands for the application and which can't log in; and a role
# a process. None of them but the owner can alter the ledger: `ratchet migrate up` grants each what its process does.
set -eu
secrets=${RATCHET_SECRETS:-/run/secrets}

run_sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres "$@"; }

login() {
    run_sql --set role="$1" --set password="$2" << 'END'
select format('create role %I', :'role') where to_regrole(:'role') is null \gexec
alter role :"role" login password :'password';
END
}

login ratchet_owner "$(cat "$secrets/postgres_owner_password")"
run_sql << 'END'
select 'create role ratchet_app' where to_regrole('ratchet_app') is null \gexec
alter role ratchet_app nologin;
select 'create database ratchet owner ratchet_owner'
where not exists (select from pg_database where datname = 'ratchet') \gexec
revoke all on database ratchet from public;
END
while read -r role password; do login "$role" "$password"; done < "$secrets/postgres_roles"
