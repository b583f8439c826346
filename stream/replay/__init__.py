"""Replay: the real logs of shops become events.

A mapping (``mapping``, read from TOML by ``mapping_file``) says what a log's columns mean. A file's
records are read (``source``, ``records``), put into the order of their times (``plan``), mapped
(``fields``, ``times``, ``money``, ``rows``), joined into orders (``orders``), and come out as
``Published`` or ``Refused`` values (``replay``). All of it is a function of the file and the
mapping alone.
"""
