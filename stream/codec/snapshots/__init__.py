"""Models as bytes: snapshots, what changed between them, and parts that fit into records."""
