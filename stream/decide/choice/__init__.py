"""Which items an offer is made of: candidates, their features, rank and diversity."""
