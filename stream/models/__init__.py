"""Online estimators: pure, bounded in memory; those that stand in a river pipeline say so."""
