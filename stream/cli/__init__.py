"""Commands for people: one group, ``offerstream``, each command in a module of its own.

Rules:

- A command ``x`` is the click command in ``stream/cli/x.py`` (dashes become underscores), called
  ``x`` there; it is imported only when it is called, so that ``--help`` stays quick. A command
  whose module is not there is not listed.
- A fault of the operator's is one line on stderr and exit code 2, without a traceback.
- Linear algebra takes one thread, unless the environment says otherwise: the models' matrices are
  small, threads that wait for each other burn a core, and what they sum depends on their number.
"""

from __future__ import annotations

from stream.cli.early import heed_signals, interrupt_as_usual, is_worker, leave

heed_signals()  # before whatever takes time

import faulthandler  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from typing import Any, Final  # noqa: E402

import click  # noqa: E402

import stream  # noqa: E402
from stream.cli.errors import OneLineGroup  # noqa: E402
from stream.cli.lazy import LazyGroup  # noqa: E402
from stream.host.discretion import guard_tracebacks  # noqa: E402

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is first imported

COMMANDS: Final = {
    "demo": "Watch simulated shoppers become offers, in this terminal.",
    "worker": "Turn events into offers, on Kafka or on a local log.",
    "topics": "Show or create the topics that a worker needs.",
    "replay": "Turn a shop's own log (CSV, JSON lines) into events and offers.",
    "campaigns": "Say with a folder of YAML files which campaigns run.",
    "mappings": "Show the mappings from a log's columns to events.",
    "events": "Check events as a worker will, or send them.",
    "dead-letters": "Show what was refused, and send it again once it is mended.",
    "offers": "Show offers as they are made, or one customer's, serve them, or hand them on.",
    "explain": "Decide an offer again from the log, and show what led to it.",
    "customer": "Show what is known of one customer, and what was decided.",
    "customers": "Show what is kept of customers, and what became of their events.",
    "report": "Tell what offers did: funnel, lift over holdout, refusals, models.",
    "simulate": "Write simulated shoppers' events.",
    "evaluate": "Measure the models on a file, in one pass.",
    "verify-models": "Check the published models against their log.",
    "doctor": "Check what a worker needs, before it starts.",
    "config": "Show or check the settings.",
    "extensions": "Show which extensions are installed, and which are in force.",
}
"""What each command is for, in the order in which one meets them."""

EPILOG: Final = """\b
Try first:
  offerstream demo               shoppers, models and offers, in one process
  offerstream config show        every setting, its value and where that is from
  offerstream COMMAND --help     what a command takes
"""


class _Commands(LazyGroup, OneLineGroup):
    """Our commands, and our way to say a fault."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program: what nobody catches is printed without what was being worked on."""
        guard_tracebacks()
        interrupt_as_usual()
        if sys.stderr is not None:
            faulthandler.enable()
        try:
            return super().__call__(*args, **kwargs)
        except SystemExit as end:
            if is_worker() and isinstance(end.code, int):
                leave(end.code)
            raise


@click.group(
    cls=_Commands,
    name="offerstream",
    listed=COMMANDS,
    modules="stream.cli.",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(stream.__version__, prog_name="offerstream")
@click.option("--debug", is_flag=True, help="Show the traceback where an error would be one line.")
def main(debug: bool) -> None:
    """Turn a shop's clicks and purchases into personal offers, while they happen.

    Events come in on Kafka topics (or on a local log: no broker needed); models learn from each
    of them; offers go out on a topic, each with its reasons.
    """
    os.umask(0o077)  # what commands write is of customers: nobody else's to read
