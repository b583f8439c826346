"""Customers' records as rows of bytes, and the kernels that take them an event further."""
