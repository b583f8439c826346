"""One broker for all processes of a test run, gone when the last of them is.

Rules:

- Who uses the broker holds a shared lock on the file ``users``; the kernel takes it back however
  the process ends, so no count can be wrong.
- The broker's keeper is a process of its own. It waits for that file to itself, which it gets when
  the last user is gone, and then kills the broker and removes the data.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kafka import install
from tests.kafka.broker import Broker, BrokerFailed


@contextmanager
def shared_broker(directory: Path) -> Iterator[str]:
    """Yield the address of the broker that lives in ``directory``, starting it if need be."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with install.locked(directory / "starting"):
            address = directory / "address"
            if not address.exists():
                address.write_text(_start_keeper(directory))
        yield address.read_text()


def log_of(directory: Path) -> str:
    """Return the end of the broker's log."""
    return Broker(directory / "broker").tail()


def _start_keeper(directory: Path) -> str:
    with (directory / "keeper.log").open("w") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.kafka.shared", str(directory)],
            cwd=install.ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    assert keeper.stdout
    with keeper.stdout as answer:
        if address := answer.readline().strip():
            return address
    raise BrokerFailed((directory / "keeper.log").read_text())


def _keep(directory: Path) -> None:
    """Run the broker, print its address, and end it when nobody uses it any more."""
    with Broker(directory / "broker") as broker, (directory / "users").open() as users:
        print(broker.address, flush=True)
        fcntl.flock(users, fcntl.LOCK_EX)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
