"""The benchmark: the same job on this project and on others, side by side on a real Kafka.

``python -m bench`` runs it (``make bench`` installs first what the others need). The parts:

- :mod:`bench.workload` makes the events, :mod:`bench.lab` has the broker, the topics and the
  children, :mod:`bench.contenders` are the systems that are compared;
- :mod:`bench.throughput`, :mod:`bench.latency`, :mod:`bench.memory` and :mod:`bench.scaling`
  measure, :mod:`bench.figures` reckons, :mod:`bench.report` tells.
"""
