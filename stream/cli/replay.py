"""``offerstream replay``: a shop's own log through the whole pipeline, in this process.

Rules: without a broker everything is in a temporary directory; with one, it is kept, and the same
command again goes on where it ended. Nothing is written to stdout but the summary.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, BinaryIO

import click
import orjson

from stream.broker.directory import ensure_writable
from stream.cli.options import loaded_option
from stream.cli.outputs import files_of, outputs
from stream.cli.progress import gauge
from stream.config import ConfigError, Settings
from stream.host.environment import Loaded
from stream.host.logs import start_logging
from stream.host.signals import interruptible
from stream.models.propensity.foresight import Quality
from stream.reading.inputs import sources
from stream.reading.source import InputSource
from stream.replay.deadletters import DeadRow, dead_rows
from stream.replay.mapping import Mapping as LogMapping
from stream.replay.mapping_file import load_mapping, shipped_mappings
from stream.replay.outcome import RefusedRow
from stream.replay.pace import Pace, parse_pace
from stream.replay.plan import ReadingPlan
from stream.replay.replay import Replay

if TYPE_CHECKING:
    from stream.replay.drive import ChunkResult, EventSink
    from stream.replay.report import Report
    from stream.replay.resume import Resume
    from stream.worker.engine import Engine

_SHOWN_OFFERS = 3


@click.command(short_help="Turn a shop's own log (CSV, JSON, Parquet) into events and offers.")
@click.argument("files", metavar="FILE…", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--mapping",
    "mapping_name",
    metavar="NAME|PATH",
    help="What the columns mean: a shipped mapping (`offerstream mappings list`) or a TOML file.",
)
@loaded_option
@click.option("--offers", type=click.Path(path_type=Path), metavar="OUT", help="Write the offers.")
@click.option(
    "--refused",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Write the refused rows, and of a local log the dead letters, each with its reason.",
)
@click.option(
    "--speed",
    default="max",
    show_default=True,
    metavar="max|N|N/s",
    help="N times as fast as it happened, or N rows a second.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N rows.")
@click.option("--json", "in_json", is_flag=True, help="Print the summary as one JSON object.")
@click.option(
    "--no-worker", is_flag=True, help="Only publish: workers that run elsewhere do the rest."
)
def replay(
    loaded: Loaded,
    files: tuple[Path, ...],
    mapping_name: str | None,
    offers: Path | None,
    refused: Path | None,
    speed: str,
    limit: int | None,
    in_json: bool,
    no_worker: bool,
) -> None:
    """Turn FILEs, a shop's own log, into events, and the events into offers.

    A FILE is CSV, JSON or Parquet, plain or packed (gzip, bzip2, xz, zip, zstd): its first bytes
    tell. It may be a glob or a directory, or - for standard input; several are read as one log, in
    the order of time. A mapping says what the columns mean. Without --broker all of it happens in a
    temporary directory; with one it is kept, and the same command again goes on where it ended.

    \b
    Examples:
      offerstream mappings list
      offerstream replay 2019-Oct.csv.gz --mapping rees46 --limit 100000
      offerstream replay events.csv --mapping retailrocket --offers offers.jsonl
      offerstream replay '2019-*.csv.zst' exports/ --mapping rees46
      offerstream replay my-log.jsonl --mapping my-shop.toml --broker local://./shop
      offerstream replay day.csv --mapping rees46 --speed 60 --broker kafka://127.0.0.1:9092
      offerstream replay day.csv --mapping rees46 --no-worker --broker kafka://127.0.0.1:9092
    """
    start_logging("error")
    if not files:
        raise click.UsageError("name a FILE to replay: a log, a glob, a directory, or -")
    mapping, pace = _mapping(mapping_name), parse_pace(speed)
    if no_worker and offers is not None:
        raise ConfigError(
            "--offers needs a worker: leave out --no-worker, or read the offers topic"
        )
    with ExitStack() as stack:
        found = _sources(files, quiet=in_json)
        written = stack.enter_context(
            outputs(
                {"--offers": offers, "--refused": refused},
                [*files_of(files), *(source.path for source in found), Path(mapping_name or "")],
            )
        )
        log = Replay(found, mapping, None if limit is None else min(limit, sys.maxsize))
        settings, kept = stack.enter_context(_workplace(loaded, mapping, no_worker=no_worker))
        told = _Outputs(written)
        report = _Run(log, settings, pace, told, quiet=in_json, worker=not no_worker).report()
    report.kept = kept
    report.given = tuple(map(str, files)), str(mapping_name)
    report.offers_file = None if offers is None else str(offers)
    report.refused_file = None if refused is None else str(refused)
    _tell(report, told, in_json=in_json)


@contextmanager
def rehearsed(
    loaded: Loaded,
    files: Sequence[Path],
    mapping_name: str | None,
    limit: int | None,
    *,
    quiet: bool,
) -> Iterator[tuple[Settings, Report]]:
    """Replay files into a log of its own, which is there to be read until the block ends.

    Raises
    ------
    ConfigError
        As by ``offerstream replay``, and if the settings name a broker.
    """
    if loaded.sources["broker"] != "default":
        raise ConfigError("this measures in a log of its own: leave out --broker")
    start_logging("error")
    mapping = _mapping(mapping_name)
    log = Replay(_sources(files, quiet=quiet), mapping, limit)
    with _workplace(loaded, mapping, no_worker=False) as (settings, _):
        pace, told = parse_pace("max"), _Outputs({})
        yield settings, _Run(log, settings, pace, told, quiet=quiet, worker=True).report()


def _sources(files: Sequence[Path], *, quiet: bool) -> list[InputSource]:
    with gauge("reading standard input", None, "bytes", quiet=quiet) as shown:
        return sources(files, shown.show)


def _mapping(name: str | None) -> LogMapping:
    if name is None:
        raise ConfigError(
            f"--mapping is missing; the shipped ones are {', '.join(shipped_mappings())}; "
            "or give the path of a .toml file"
        )
    return load_mapping(name)


@contextmanager
def _workplace(
    loaded: Loaded, mapping: LogMapping, *, no_worker: bool
) -> Iterator[tuple[Settings, bool]]:
    """Give the settings of the run, and whether what it writes is kept."""
    settings = _rehearsal(loaded, mapping)
    kept = loaded.sources["broker"] != "default"
    if no_worker and not kept:
        raise ConfigError("--no-worker needs a --broker: there is nobody else to do the rest")
    with TemporaryDirectory(prefix="offerstream-replay-") as directory:
        if not kept:
            settings = replace(settings, broker=f"local://{Path(directory) / 'log'}")
        if loaded.sources["data_dir"] == "default":  # a cache, which this run fills for itself
            settings = replace(settings, data_dir=Path(directory) / "state")
        ensure_writable(settings.data_dir, "data_dir")
        yield settings, kept


def _rehearsal(loaded: Loaded, mapping: LogMapping) -> Settings:
    """History disturbs nobody's night and has its own currency, unless settings say otherwise."""
    settings, sources = loaded
    core, policy = settings.core, settings.core.policy
    if {sources["core.policy.quiet_from"], sources["core.policy.quiet_until"]} == {"default"}:
        policy = replace(policy, quiet_from=0, quiet_until=0)
    if sources["core.currency"] == "default" and mapping.defaults.currency:
        core = replace(core, currency=mapping.defaults.currency)
    return replace(settings, core=replace(core, policy=policy))


class _Outputs:
    """The files that a replay writes, opened before anything else happens."""

    def __init__(self, written: Mapping[str, BinaryIO]) -> None:
        self._offers = written.get("--offers")
        self._refused = written.get("--refused")
        self._known: set[bytes] | None = None  # of a resumed run: it sends some of them again
        self.latest: deque[bytes] = deque(maxlen=_SHOWN_OFFERS)
        self.count = 0

    @property
    def wants_offers(self) -> bool:
        """Whether the offers are written."""
        return self._offers is not None

    def begin_with(self, offers: list[bytes]) -> None:
        """Write the offers of an earlier run, and from now on each offer once."""
        self._known = set()
        self._write(offers)

    def take(self, step: ChunkResult) -> None:
        """Write what a step brought."""
        self._write(step.offers)
        if self._refused is not None:
            self._refused.writelines(_refusal(row) for row in step.refused)

    def bury(self, rows: Iterator[DeadRow]) -> None:
        """Write the dead letters of a replay."""
        if self._refused is not None:
            self._refused.writelines(map(_dead, rows))

    def _write(self, offers: Sequence[bytes]) -> None:
        if self._known is not None:
            offers = [offer for offer in dict.fromkeys(offers) if offer not in self._known]
            self._known.update(offers)
        self.count += len(offers)
        self.latest.extend(offers)
        if self._offers is not None:
            self._offers.writelines(offer + b"\n" for offer in offers)


def _refusal(refused: RefusedRow) -> bytes:
    """One line of JSON; bytes that are no text are in base64."""
    line: dict[str, object] = {"row": refused.row, "reason": refused.reason}
    if refused.file is not None:
        line["file"] = refused.file
    try:
        line["raw"] = refused.raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        line["raw_base64"] = base64.b64encode(refused.raw).decode()
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _dead(row: DeadRow) -> bytes:
    """One line of JSON about an event that became a dead letter."""
    line = {name: value for name, value in row._asdict().items() if value is not None}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


class _Run:
    """One replay, from the first look at the file to its report."""

    def __init__(
        self,
        log: Replay,
        settings: Settings,
        pace: Pace,
        outputs: _Outputs,
        *,
        quiet: bool,
        worker: bool,
    ) -> None:
        self._log, self._settings, self._pace = log, settings, pace
        self._outputs, self._quiet, self._worker = outputs, quiet, worker
        self._published = self._present = 0

    def report(self) -> Report:
        """Replay, and tell what came of it."""
        from stream.worker.checks.topics import verify

        verify(self._settings)
        plan = self._plan()
        resume = self._resume()
        report = asyncio.run(self._replay(plan, resume))
        if self._worker and self._settings.embedded_log is not None and report.rejected():
            report.dead = dead_rows(self._settings, self._log, plan)
            self._outputs.bury(iter(report.dead))
        return report

    def _plan(self) -> ReadingPlan:
        size = self._log.size
        with gauge("looking through", size, "bytes", quiet=self._quiet) as shown:
            return self._log.plan(
                lambda rows, share: shown.show(round(share * size), f"{rows:,} rows")
            )

    def _resume(self) -> Resume:
        from stream.replay.resume import resume_from
        from stream.replay.topic_ends import last_records, offers_so_far

        resume = resume_from(self._log.id, last_records(self._settings))
        if resume.rows and self._outputs.wants_offers:
            self._outputs.begin_with(offers_so_far(self._settings))
        return resume

    async def _replay(self, plan: ReadingPlan, resume: Resume) -> Report:
        from stream.replay.report import Report

        began = perf_counter()
        report = Report(
            file=self._log.name,
            mapping=self._log.mapping.name,
            broker=self._settings.broker,
            rows=plan.rows,
            account=self._log.account,
        )
        if self._worker:
            await self._with_engine(plan, resume, report)
        else:
            from stream.replay.sinks import topics_only

            async with topics_only(self._settings) as sink:
                report.finished = await self._drive(sink, plan, resume)
        report.account = self._log.account
        report.seconds = perf_counter() - began
        report.published, report.present = self._published, self._present
        return report

    async def _with_engine(self, plan: ReadingPlan, resume: Resume, report: Report) -> None:
        from stream.replay.report import count_people
        from stream.worker.engine import Engine

        async with Engine(self._settings, lockstep=True) as engine:
            _check_alone(engine)
            await engine.settle()
            before = Counter(engine.status().counts)
            report.finished = await self._drive(engine, plan, resume)
            status = engine.status()
            report.counts = Counter(status.counts) - before
            report.log_counts = status.counts
            report.offers = report.counts["offers"]
            report.people = count_people(engine.customers())
            report.quality = None if status.quality is None else _plain(status.quality)
            report.segments = tuple(status.segments)
            waits = sorted(status.waits)
            if waits:
                report.waits = waits[len(waits) // 2], waits[len(waits) * 99 // 100]

    async def _drive(self, sink: EventSink, plan: ReadingPlan, resume: Resume) -> bool:
        from stream.replay.drive import Drive

        log, began = self._log, perf_counter()
        drive = Drive(
            sink, self._settings, log.id, resume, self._pace, lambda: perf_counter() - began
        )
        with (
            gauge("replaying", plan.rows, "rows", quiet=self._quiet) as shown,
            interruptible() as stop,
        ):

            def watch(step: ChunkResult) -> None:
                self._published += step.published
                self._present += step.present
                self._outputs.take(step)
                shown.show(log.account.rows, f"{self._outputs.count:,} offers")

            return await drive.run(log.outcomes(plan), watch, stop)


def _check_alone(engine: Engine) -> None:
    """Refuse to share the partitions: for what others do, this process would wait in vain."""
    settings = engine.settings
    held = {(tp.topic, tp.partition) for tp in engine.app.consumer.assignment()}
    wanted = {(t, p) for t in settings.topics.events for p in range(settings.partitions)}
    if wanted - held:
        raise ConfigError(
            f"other workers of app_id {settings.app_id} hold some of the partitions; "
            "let them do the work (--no-worker), or stop them"
        )


def _tell(report: Report, outputs: _Outputs, *, in_json: bool) -> None:
    from stream.cli.replay_words import summary

    if in_json:
        click.echo(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    else:
        click.echo(summary(report, list(outputs.latest)))
    if not report.finished:
        sys.exit(130)
    if nothing := report.nothing_done():
        raise ConfigError(nothing)
    if report.unaccounted() and report.broker.startswith("local://"):
        raise click.ClickException(f"{report.unaccounted():,} events are not accounted for")


def _plain(quality: Quality) -> dict[str, object]:
    standings = [
        {"name": standing.name, **standing.quality._asdict()} for standing in quality.standings
    ]
    return quality._asdict() | {"standings": standings}
