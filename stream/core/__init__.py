"""The pure core: no Kafka, no Faust, no asyncio, no clock, no metric.

Its centre is :func:`stream.core.decide.decide`; everything else is a stage of it.
"""
