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

processes="ingress consumer relay dispatcher console ops"

for name in postgres_password postgres_owner_password redis_password grafana_password console_password client_key \
    webhook_secret kafka_admin_password; do
    random | keep "$name"
done
for process in $processes; do
    random | keep "postgres_${process}_password"
    random | keep "kafka_${process}_password"
done

value() { cat "$folder/$1"; }

# Names and passwords of the roles that postgres/10-roles.sh makes, one a line.
for process in $processes; do
    echo "ratchet_$process $(value "postgres_${process}_password")"
done | keep postgres_roles

keep redis.conf << END
requirepass $(value redis_password)
save ""
maxmemory 128mb
maxmemory-policy allkeys-lru
END

# Whom the broker knows; it logs in to itself as admin.
keep kafka-jaas.conf << END
KafkaServer {
    org.apache.kafka.common.security.plain.PlainLoginModule required
    username="admin" password="$(value kafka_admin_password)" user_admin="$(value kafka_admin_password)"
$(for process in $processes; do echo "    user_ratchet-$process=\"$(value "kafka_${process}_password")\""; done)
    ;
};
END

keep kafka-admin.properties << END
security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" \
    password="$(value kafka_admin_password)";
END

# How a process reaches the brokers; what it alone needs follows on standard input.
process_file() {
    keep "ratchet-$1.toml" << END
# A Kafka of yours with TLS or another mechanism takes other lines here: README.md beside compose.yaml.
[kafka]
bootstrap = "kafka:9092"
security_protocol = "SASL_PLAINTEXT"
sasl_mechanism = "PLAIN"
sasl_user = "ratchet-$1"
sasl_password = "$(value "kafka_$1_password")"

[postgres]
dsn = "postgresql://ratchet_$1:$(value "postgres_$1_password")@postgres:5432/ratchet"

[redis]
url = "redis://:$(value redis_password)@redis:6379/0"
$(cat)
END
}

process_file ingress << END

[api_keys]
shop = "$(value client_key)"

# One table a provider, with the secrets that its dashboard shows.
[providers.github]
secrets = ["$(value webhook_secret)"]
END

process_file console << END

[console]
password = "$(value console_password)"
END

# Of a provider: api_key and the like in the dispatcher's; capture, mode and merchant_accounts, no secrets, also in the
# consumer's.
for process in consumer relay dispatcher ops; do
    process_file "$process" < /dev/null
done

# The migration opens no connection to Kafka, and of the application's role it takes the name alone.
keep ratchet-owner.toml << END
[kafka]
bootstrap = "kafka:9092"

[postgres]
dsn = "postgresql://ratchet_app@postgres:5432/ratchet"
owner_dsn = "postgresql://ratchet_owner:$(value postgres_owner_password)@postgres:5432/ratchet"
END

echo "secrets are in $folder; put your providers' own into $folder/ratchet-ingress.toml"
