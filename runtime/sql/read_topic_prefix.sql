select prefix from topic_prefix
