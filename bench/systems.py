"""The systems that are compared: each one's name, jobs, command, and what its user gets."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bench.run import Run
from bench.told import ROOT, Job


@dataclass(frozen=True, slots=True)
class Contender:
    """One system.

    Attributes
    ----------
    module
        Its program in :mod:`bench.contenders`; none is the project's own worker.
    after_crash
        What its user gets after ``kill -9``, as it is set up here.
    apart
        Whether it lives in an environment of its own.
    learns
        Whether what it learns passes through the ``examples`` topic, so that its learner may be
        behind its decisions.
    """

    name: str
    module: str | None
    after_crash: str = ""
    apart: bool = False
    learns: bool = False

    def command(self, run: Run) -> list[str]:
        """The command of its process."""
        if self.module is None:
            settings = [f"--set={name}={value}" for name, value in run.options().items()]
            return [str(self.python), "-m", "stream", "worker", *settings]
        return [str(self.python), "-m", f"bench.contenders.{self.module}", run.tell()]

    @property
    def python(self) -> Path:
        """The interpreter that runs it."""
        return self.home / "bin" / "python" if self.apart else Path(sys.executable)

    @property
    def home(self) -> Path:
        """Its environment, if it lives apart."""
        return ROOT / f".venv-bench-{self.name}"

    @property
    def installed(self) -> bool:
        """Whether it can run: an environment of its own may be missing, or half there."""
        return not self.apart or (self.home / ".ready").exists()


_OURS = "each event counts once; an offer may come twice, with the same id and bytes"
_BARE = "the same but for recovery, which it lacks"
_FAUST = "events since the last commit (2.8 s) count twice and get another offer"
_QUIX = "events since the last checkpoint (5 s) get their offer again; state is as of it"
_BYTEWAX = "events since the last epoch (5 s) get their offer again; state is as of it, on one disk"
_PATHWAY = "the journal (5 s, on one disk) is played again, and offers with it"
_MODELS = "; river's models are empty"

OFFERSTREAM = Contender("offerstream", None, _OURS, learns=True)
BARE_LOOP = Contender("bare_loop", "bare", _BARE, learns=True)
FLOOR = Contender("floor", "floor")
QUIX_STATE = Contender("quixstreams", "quix_state", _QUIX)

CONTENDERS: dict[Job, tuple[Contender, ...]] = {
    "state": (
        OFFERSTREAM,
        BARE_LOOP,
        Contender("stock_faust", "faust_state", _FAUST),
        QUIX_STATE,
        Contender("bytewax", "bytewax_state", _BYTEWAX, apart=True),
        Contender("pathway", "pathway_state", _PATHWAY, apart=True),
    ),
    "whole": (
        OFFERSTREAM,
        BARE_LOOP,
        Contender("stock_faust", "faust_river", _FAUST + _MODELS),
        Contender("quixstreams", "quix_river", _QUIX + _MODELS),
        Contender("bytewax", "bytewax_river", _BYTEWAX + _MODELS, apart=True),
        Contender("pathway", "pathway_river", _PATHWAY + _MODELS, apart=True),
    ),
}
