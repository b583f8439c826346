"""``offerstream worker``: from settings to a running worker, or to one line that says why not."""

from __future__ import annotations

import logging
import sys

import click

from stream.cli.options import settings_option
from stream.config import Settings
from stream.runtime.allocator import let_go_of_large_blocks
from stream.runtime.directory import ensure_writable
from stream.runtime.health import Health, HealthServer
from stream.runtime.metrics import Metrics
from stream.runtime.topics import verify

log = logging.getLogger(__name__)


@click.command
@settings_option
def worker(settings: Settings) -> None:
    """Turn events into offers, until SIGTERM or Ctrl-C; then finish what is begun, and exit.

    Start as many as there are partitions, on as many machines: they share the work.
    """
    ensure_writable(settings.data_dir, "data_dir")
    verify(settings)
    let_go_of_large_blocks()
    metrics = Metrics(group=settings.app_id)
    health = Health(settings.metrics, metrics)
    with HealthServer(settings.metrics, health, metrics) as server:
        log_to_stderr(settings)
        log.info("health and metrics at http://%s:%d", settings.metrics.host, server.port)
        from stream.runtime.app import build_app  # probes are answered while Faust is imported
        from stream.runtime.worker import run

        apart = settings.learning.own_process and settings.embedded_log is None
        sys.exit(run(build_app(settings, metrics=metrics, apart=apart), health))


def log_to_stderr(settings: Settings) -> None:
    """Log as the settings say; from here on: what goes wrong before is one line and no log."""
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    if settings.log_level != "debug":
        for library in ("aiokafka", "faust", "mode"):  # at info they tell of every step
            logging.getLogger(library).setLevel(logging.WARNING)
