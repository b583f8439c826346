"""``offerstream worker``: from settings to a running worker, or to one line that says why not."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from functools import partial

import click

import stream
from stream.broker.directory import ensure_writable, held
from stream.cli.options import settings_option
from stream.config import Settings
from stream.host.allocator import let_go_of_large_blocks
from stream.host.descriptors import allow_descriptors
from stream.host.extensions import in_force
from stream.host.logs import start_logging
from stream.worker.checks.topics import verify
from stream.worker.telemetry.health import Health, HealthServer
from stream.worker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


@click.command
@settings_option
def worker(settings: Settings) -> None:
    """Turn events into offers, until SIGTERM or Ctrl-C; then finish what is begun, and exit.

    Start as many as there are partitions, on as many machines: they share the work.
    """
    in_force(settings)  # a broken extension is named before anything is read
    ensure_writable(settings.data_dir, "data_dir")
    with ExitStack() as stack:
        if settings.table_store == "rocksdb":
            stack.enter_context(held(settings.data_dir, "data_dir"))
        sys.exit(_run(settings))


def _run(settings: Settings) -> int:
    verify(settings)
    let_go_of_large_blocks()
    allow_descriptors()
    metrics = Metrics(group=settings.app_id)
    health = Health(settings.metrics, metrics)
    with HealthServer(settings.metrics, health, metrics) as server:
        # What goes wrong before is one line and no log.
        start_logging(settings.log_level, form=settings.log_format)
        log.info("start: offerstream %s on %s", stream.__version__, settings.broker)
        log.info("health and metrics at http://%s:%d", settings.metrics.host, server.port)
        # Probes are answered while Faust is imported.
        from stream.worker.app import build_app, rebuilds_of
        from stream.worker.running import run

        apart = settings.learning.own_process and settings.embedded_log is None
        rebuilds = rebuilds_of(metrics)
        build = partial(build_app, settings, metrics=metrics, rebuilds=rebuilds, apart=apart)
        return run(build, health, rebuilds)
