"""A Kafka cluster, by aiokafka."""
