"""Embedded mode's broker: an append-only log in a directory, and the Faust transport over it."""
