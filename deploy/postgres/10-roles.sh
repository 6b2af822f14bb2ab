#!/bin/sh
# Run once by the postgres image, on an empty data folder: the owner of the schema, and the application's role, which
# can't alter the ledger. `ratchet migrate up` gives it its grants.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set owner_password="$(cat /run/secrets/postgres_owner_password)" \
    --set app_password="$(cat /run/secrets/postgres_app_password)" << 'END'
create role ratchet_owner login password :'owner_password';
create role ratchet_app login password :'app_password';
create database ratchet owner ratchet_owner;
revoke all on database ratchet from public;
grant connect, temporary on database ratchet to ratchet_app;
END
