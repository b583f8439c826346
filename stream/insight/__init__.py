"""What topics and files tell of customers, models and campaigns; never in the hot path."""
