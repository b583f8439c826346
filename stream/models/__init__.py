"""Online estimators: pure, bounded in memory, following river's interface."""
