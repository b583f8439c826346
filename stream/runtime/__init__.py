"""The runtime: everything that has a clock, a socket or a disk."""
