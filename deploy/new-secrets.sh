#!/bin/sh
# Make the secrets that compose.yaml mounts, each random, in deploy/secrets: `sh deploy/new-secrets.sh`.
# What is there already stays, so it can be run again. The folder is closed to others; the files in it are readable,
# because compose mounts them as they are and the containers run under other users.
set -eu
umask 022
folder=$(dirname "$0")/secrets
mkdir -p "$folder"
chmod 700 "$folder"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# Writes standard input to a file that is not there yet, whole or not at all.
keep() {
    if [ -e "$folder/$1" ]; then cat > /dev/null; else cat > "$folder/$1.new" && mv "$folder/$1.new" "$folder/$1"; fi
}

for name in postgres_password postgres_owner_password postgres_app_password redis_password grafana_password \
    console_password client_key webhook_secret; do
    random | keep "$name"
done

value() { cat "$folder/$1"; }

keep redis.conf << END
requirepass $(value redis_password)
save ""
maxmemory 128mb
maxmemory-policy allkeys-lru
END

keep ratchet.toml << END
# A Kafka of yours with TLS or SASL takes more lines here: README.md beside compose.yaml.
[kafka]
bootstrap = "kafka:9092"

[postgres]
dsn = "postgresql://ratchet_app:$(value postgres_app_password)@postgres:5432/ratchet"

[redis]
url = "redis://:$(value redis_password)@redis:6379/0"

[console]
password = "$(value console_password)"

[api_keys]
shop = "$(value client_key)"

# One table a provider, with the secrets that its dashboard shows.
[providers.github]
secrets = ["$(value webhook_secret)"]
END

keep ratchet-owner.toml << END
[kafka]
bootstrap = "kafka:9092"

[postgres]
dsn = "postgresql://ratchet_app:$(value postgres_app_password)@postgres:5432/ratchet"
owner_dsn = "postgresql://ratchet_owner:$(value postgres_owner_password)@postgres:5432/ratchet"
END

echo "secrets are in $folder; put your providers' own into $folder/ratchet.toml"
