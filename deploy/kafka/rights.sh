#!/bin/sh
# Grant each process of Ratchet what it does with Kafka, and no more: a record in payments.webhooks counts as verified,
# so only the ingress and the relay may write there. A service that publishes commands or events of its own is granted
# that by name, as deploy/README.md shows. Run it as an administrator; it may be run again:
#
#   sh rights.sh /opt/kafka/bin/kafka-acls.sh BROKER:9092 ADMIN.PROPERTIES
#
# Topics and the group are named as they are by default.
set -eu
acls=$1 broker=$2 properties=$3

grant() { "$acls" --bootstrap-server "$broker" --command-config "$properties" --add "$@"; }
topics="--topic payments. --resource-pattern-type prefixed"

grant --allow-principal User:ratchet-ingress --operation Write --topic payments.webhooks
grant --allow-principal User:ratchet-relay \
    --operation Write --operation Create --operation DescribeConfigs $topics
grant --allow-principal User:ratchet-consumer --operation Read \
    --topic payments.webhooks --topic payments.intents --topic payments.events --group ratchet
grant --allow-principal User:ratchet-console --allow-principal User:ratchet-ops \
    --operation Describe --operation DescribeConfigs $topics
grant --allow-principal User:ratchet-console --allow-principal User:ratchet-ops --operation Describe --group ratchet
grant --allow-principal User:ratchet-ops --operation Read --topic payments.dlq
