"""What must agree before a worker reads: topics, stamps, stores, changelogs, models."""
