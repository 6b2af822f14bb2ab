#!/bin/sh
# Write Kafka's commands as the official image has them: kafka-NAME.sh runs the class of that name.
set -eu
cd /opt/kafka/bin
while read -r name class; do
    printf '#!/bin/bash\nexport KAFKA_LOG=tools\nexec /opt/kafka/bin/kafka-run-class.sh %s "$@"\n' "$class" >"kafka-$name.sh"
    chmod 0755 "kafka-$name.sh"
done <<'COMMANDS'
storage kafka.tools.StorageTool
acls org.apache.kafka.tools.AclCommand
broker-api-versions org.apache.kafka.tools.BrokerApiVersionsCommand
configs kafka.admin.ConfigCommand
console-consumer org.apache.kafka.tools.consumer.ConsoleConsumer
consumer-groups org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
get-offsets org.apache.kafka.tools.GetOffsetShell
topics org.apache.kafka.tools.TopicCommand
COMMANDS
printf '#!/bin/bash\nexport KAFKA_HEAP_OPTS=${KAFKA_HEAP_OPTS:--Xmx1G}\nexec /opt/kafka/bin/kafka-run-class.sh kafka.Kafka "$@"\n' \
    >kafka-server-start.sh
chmod 0755 kafka-server-start.sh
