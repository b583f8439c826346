"""A broker for development, in the foreground: ``make kafka``."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from tests.kafka.broker import Broker, Node


def main() -> None:
    """Start a broker, say where it is, and stop it in good order on Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="where the topics are kept between runs")
    parser.add_argument("--port", type=int, default=9092)
    given = parser.parse_args()
    broker = Broker(given.directory, Node.free(port=given.port), heap="512m", jvm=())
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    broker.start()
    print(f"Kafka listens on {broker.address}, its log is {broker.log}; Ctrl-C stops it.")
    signal.sigwait(ends)
    broker.stop()


if __name__ == "__main__":
    main()
