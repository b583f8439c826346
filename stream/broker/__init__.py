"""Where topics are: Kafka, or a log on this machine's disk. Nowhere else is asked which it is."""
