"""What the system is about, as values: events, offers, campaigns, money, text."""
