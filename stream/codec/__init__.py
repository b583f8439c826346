"""Bytes to values and back: events, offers, records and snapshots."""
