"""The systems that are compared: each one's name, jobs and command.

Each runs in a process of its own, is told one :class:`bench.run.Run` and works until SIGTERM: it
reads the run's ``clicks`` and writes its ``offers``. ``floor`` writes one record at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.lab import python
from bench.run import Job, Run


@dataclass(frozen=True, slots=True)
class Contender:
    """One system.

    ``learns`` says that what it learns passes through the ``examples`` topic, so that its learner
    may be behind its decisions.
    """

    name: str
    command: Callable[[Run], list[str]]
    learns: bool = False


def _module(name: str) -> Callable[[Run], list[str]]:
    return lambda run: python(f"bench.contenders.{name}", run.tell())


def _offerstream(run: Run) -> list[str]:
    settings = [f"--set={name}={value}" for name, value in run.options().items()]
    return python("stream", "worker", *settings)


OFFERSTREAM = Contender("offerstream", _offerstream, learns=True)
BARE_LOOP = Contender("bare_loop", _module("bare"), learns=True)
FAUST_STATE = Contender("stock_faust", _module("faust_state"))
FAUST_WHOLE = Contender("stock_faust", _module("faust_river"))
QUIX_STATE = Contender("quixstreams", _module("quix_state"))
QUIX_WHOLE = Contender("quixstreams", _module("quix_river"))
FLOOR = Contender("floor", _module("floor"))

CONTENDERS: dict[Job, tuple[Contender, ...]] = {
    "state": (OFFERSTREAM, BARE_LOOP, FAUST_STATE, QUIX_STATE),
    "whole": (OFFERSTREAM, BARE_LOOP, FAUST_WHOLE, QUIX_WHOLE),
}
