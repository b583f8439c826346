"""The benchmark: the same job on this project and on others, side by side on a real Kafka.

``python -m bench`` runs it (``make bench`` installs first what the others need). The parts:

- :mod:`bench.workload` makes the events, :mod:`bench.feed` knows what must come of them,
  :mod:`bench.lab` has the broker, the topics and the children;
- :mod:`bench.systems` lists who is compared, :mod:`bench.contenders` are their programs;
- :mod:`bench.live` measures a system turn by turn, :mod:`bench.costs` its CPU,
  :mod:`bench.clocks` and :mod:`bench.quiet` the machine;
- :mod:`bench.latency`, :mod:`bench.memory`, :mod:`bench.scaling` and :mod:`bench.floor` measure
  the rest;
- :mod:`bench.programme` says in which order, :mod:`bench.figures` reckons,
  :mod:`bench.report` tells.
"""
