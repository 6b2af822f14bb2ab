#!/bin/sh
# Grant each process of Ratchet what it does with Kafka, and no more: a record of the webhooks counts as verified,
# so only the ingress and the relay may write there. A service that publishes commands or events of its own is granted
# that by name, as deploy/README.md shows. Run it as an administrator; it may be run again:
#
#   sh rights.sh /opt/kafka/bin/kafka-acls.sh BROKER:9092 ADMIN.PROPERTIES
#
# RATCHET_KAFKA__TOPIC_PREFIX and RATCHET_KAFKA__GROUP name the topics and the group, where they are not the default ones.
# SEAL_TOPIC names the topic of `ratchet audit seal --topic`, where seals are kept in one. Whoever seals alone writes
# there, so its name must not begin with the prefix, below which the relay writes.
set -eu
acls=$1 broker=$2 properties=$3
prefix=${RATCHET_KAFKA__TOPIC_PREFIX:-payments.} group=${RATCHET_KAFKA__GROUP:-ratchet}
seals=${SEAL_TOPIC:-}
case $seals in
"$prefix"*) echo "rights.sh: the relay may write to $seals: let SEAL_TOPIC begin with another word than $prefix" >&2; exit 2 ;;
esac

# The tool takes one set of principals, operations and names at a time, each a JVM that lives for a second: compiling for
# a long life would cost more than it saves.
export KAFKA_JVM_PERFORMANCE_OPTS="${KAFKA_JVM_PERFORMANCE_OPTS:--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}"
grant() { "$acls" --bootstrap-server "$broker" --command-config "$properties" --add "$@"; }
topics="--topic $prefix --resource-pattern-type prefixed"

# The broker may be starting yet, whatever the engine calls it; each try waits a minute by itself.
tries=5
until grant --allow-principal User:ratchet-ingress --operation Write --topic "${prefix}webhooks"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "rights.sh: $broker does not answer; start it, then run this again" >&2; exit 1; }
    sleep 2
done
grant --allow-principal User:ratchet-relay \
    --operation Write --operation Create --operation DescribeConfigs $topics
grant --allow-principal User:ratchet-consumer --operation Read \
    --topic "${prefix}webhooks" --topic "${prefix}intents" --topic "${prefix}events" --group "$group"
grant --allow-principal User:ratchet-console --allow-principal User:ratchet-ops \
    --operation Describe --operation DescribeConfigs $topics
grant --allow-principal User:ratchet-console --allow-principal User:ratchet-ops --operation Describe --group "$group"
grant --allow-principal User:ratchet-ops --operation Read --topic "${prefix}dlq"
if [ -n "$seals" ]; then
    grant --allow-principal User:ratchet-ops \
        --operation Create --operation Write --operation Read --topic "$seals"
fi
