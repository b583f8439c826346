"""The decision, pure: no Kafka, no Faust, no asyncio, no clock, no metric.

Its centre is :func:`stream.decide.decide.decide`; everything else is a stage of it. ``rows`` is
per event and compiled; ``campaigns`` and ``choice`` are per decision, in plain Python.
"""
