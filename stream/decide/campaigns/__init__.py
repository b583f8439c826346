"""Which campaigns may speak to a customer: audience, time, budget, order, strategy."""
