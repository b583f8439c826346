"""The systems that are compared, one program each; :mod:`bench.systems` lists them.

Each runs in a process of its own, is told one :class:`bench.told.Told` and works until SIGTERM: it
reads the run's ``clicks`` and writes its ``offers``. ``floor`` writes one record at its end.
"""
