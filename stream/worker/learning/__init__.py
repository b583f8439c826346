"""The learner's agent, the trainer that learns for it, and the process that it may have."""
