"""Have Kafka's jars, a Java and the archive of classes ready before a test waits for them.

``python -m tests.kafka.prepare`` does that; with ``--lock`` it first renews the list of jars.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.kafka import install
from tests.kafka.broker import JVM, Broker


def archive_classes() -> None:
    """Let one broker live and end, and keep an archive of the classes that it loaded."""
    target = install.archive()
    with install.locked(target.with_suffix(".lock")), tempfile.TemporaryDirectory() as scratch:
        if target.exists() or not _can_archive():
            return
        dump = Path(scratch) / "classes.jsa"
        broker = Broker(Path(scratch) / "broker", jvm=[*JVM, f"-XX:ArchiveClassesAtExit={dump}"])
        broker.start().stop()
        if dump.exists():
            dump.rename(target)


def _can_archive() -> bool:
    """Whether Java has the archive of its own classes to build upon; a trimmed one may not."""
    return any(install.java().resolve().parents[1].glob("lib/*/classes.jsa"))


def main() -> int:
    """Prepare what is missing; say in one line what can't be had."""
    try:
        if "--lock" in sys.argv[1:]:
            install.renew_sums()
        archive_classes()
    except install.Unavailable as missing:
        print(f"No Kafka for the integration tests: {missing}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
