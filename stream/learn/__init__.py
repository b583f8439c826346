"""Learning, pure: examples in, models out. Its state is a function of the examples alone."""
