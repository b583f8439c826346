"""A log on this machine's disk, which one process at a time has open."""
