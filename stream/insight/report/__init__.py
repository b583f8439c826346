"""The report: what offers did, from the log alone."""
