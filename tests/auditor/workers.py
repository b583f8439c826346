"""Offerstream as its operator has it: the command, its environment, and processes to kill."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests import waiting

ROOT: Final = Path(__file__).resolve().parents[2]
COMMAND: Final = (sys.executable, "-m", "stream")


class Workers:
    """Some workers in folders of their own; whoever ends by itself is started again.

    Parameters
    ----------
    environ
        Their settings, ``OFFERSTREAM_…``.
    folder
        Where each gets its own folder, for its store and its log.
    count
        How many there are; with none, only the command's other uses are left.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path, count: int) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")}
        self._environ = clean | {"PYTHONPATH": str(ROOT)} | dict(environ)
        self._folder = folder
        self.kills = self.crashes = 0
        self._lives: dict[int, subprocess.Popen[bytes]] = {}
        for number in range(count):
            self._start(number)

    def _start(self, number: int) -> None:
        folder = self._folder / f"worker-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        environ = self._environ | {"OFFERSTREAM_DATA_DIR": str(folder / "state")}
        with (folder / "log").open("ab") as log:
            self._lives[number] = subprocess.Popen(
                [*COMMAND, "worker"], env=environ, cwd=folder, stdout=log, stderr=log
            )

    def revive(self) -> None:
        """Start again whoever has ended, as a supervisor does."""
        for number, life in [*self._lives.items()]:
            if life.poll() is not None:
                self.crashes += 1
                self._start(number)

    def kill(self, chance: random.Random) -> None:
        """Kill -9 one of them, and start it again; with none, do nothing."""
        if self._lives:
            number = chance.choice([*self._lives])
            self._lives[number].kill()
            self._lives[number].wait()
            self.kills += 1
            self._start(number)

    def end(self) -> None:
        """End all of them at once."""
        for life in self._lives.values():
            life.kill()
            life.wait()

    def words(self, number: int = 0) -> str:
        """The end of what a worker has logged, over all its lives."""
        log = self._folder / f"worker-{number}" / "log"
        return log.read_text(errors="replace")[-4_000:] if log.exists() else ""

    def said(self, *arguments: str) -> str:
        """What another of the command's uses prints."""
        done = waiting.run([*COMMAND, *arguments], env=self._environ, cwd=self._folder)
        if done.returncode:
            raise RuntimeError(f"offerstream {' '.join(arguments)} failed: {done.stderr}")
        return done.stdout
