"""Every private part of Faust that we touch, behind names of our own.

Stock Faust spends about 100 µs of asyncio on each message and 250 µs on each table write or
send. Here one Faust message carries the records of one partition and poll, and tables and
outputs are written in record batches. What is overridden, and why, is said at each override;
``tests/contracts/test_private_faust.py`` fails when the pinned Faust changes any of it.
"""
