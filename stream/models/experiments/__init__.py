"""Statistics of experiments that may be looked at whenever one likes, and of choices by chance."""
