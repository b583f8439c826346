"""``offerstream events``: check events as a worker will, and send them."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from stream.cli.event_lines import EventLines, FileLine
from stream.cli.inputs import FILE
from stream.cli.moments import now_ms
from stream.cli.options import settings_option
from stream.cli.progress import Gauge, gauge
from stream.config import ConfigError, Settings

if TYPE_CHECKING:
    from stream.client.producer import Acknowledged, EventProducer
    from stream.client.validation import Checked, Fault, Validator

TOPICS = ("clicks", "purchases", "feedback", "customers")
FORMS = ("segment", "ga4", "cloudevents")
_limit = click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(0), help="Faults that are shown."
)


@click.group
def events() -> None:
    """Check events as a worker will, or send them."""


@events.command
@settings_option
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option(
    "--as",
    "kind",
    type=click.Choice([*TOPICS, *FORMS]),
    help="What they are; by default each is taken for what it looks like.",
)
@_limit
@click.option("--json", "as_json", is_flag=True, help="One JSON object a fault, and a summary.")
def validate(
    settings: Settings, files: tuple[Path, ...], kind: str | None, limit: int, as_json: bool
) -> None:
    """Check FILES, one event a line: each fault with line, pointer, rule and nearest valid form.

    Nothing is sent, and no broker is needed. FILES may be packed, or JSON arrays; a glob and a
    directory are read, too, and - is standard input. The exit code is 2 if there is a fault.

    \b
    offerstream events validate clicks.jsonl --as clicks
    offerstream events validate segment.jsonl.gz --as segment
    """
    from stream.client.validation import Validator
    from stream.host.extensions import envelopes_in_force

    validator, tally = (
        Validator(settings.core, envelopes=envelopes_in_force(settings)),
        _Tally(limit, as_json),
    )
    lines = EventLines(files)
    with gauge("checking", lines.size, "bytes", quiet=as_json) as progress:
        for line in lines:
            tally.note(line, _checked(validator, line.value, kind))
            progress.show(lines.read, f"{tally.events:,} events")
    tally.tell(lines.name)
    if not tally.events:
        raise ConfigError(f"{lines.name}: holds no event")
    sys.exit(2 if tally.refused else 0)


@events.command
@settings_option
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--topic", type=click.Choice(TOPICS), required=True, help="Where they go.")
@_limit
@click.option("--json", "as_json", is_flag=True, help="One JSON object a record, and a summary.")
def send(
    settings: Settings, files: tuple[Path, ...], topic: str, limit: int, as_json: bool
) -> None:
    """Send FILES, one event a line, each checked first and acknowledged on its own.

    An event that a worker would refuse is not sent, and told as by `validate`; the others are.
    Sent again, an event counts once, by its event_id. The exit code is 0 if all are durable.

    \b
    offerstream events send clicks.jsonl --topic clicks --broker kafka://127.0.0.1:9092
    zcat *.gz | offerstream events send - --topic clicks --json > receipts.jsonl
    """
    tally = _Tally(limit, as_json)
    lines = EventLines(files)
    with gauge("sending", lines.size, "bytes", quiet=as_json) as progress:
        asyncio.run(_send(settings, topic, _Sending(lines, tally, progress)))
    tally.tell(lines.name)
    if not tally.events:
        raise ConfigError(f"{lines.name}: holds no event")
    sys.exit(0 if tally.events == tally.acknowledged + tally.ignored else 2)


def _checked(validator: Validator, value: bytes, kind: str | None) -> Checked:
    now = now_ms()
    if kind in TOPICS:
        return validator.check(kind, value, now)
    found = validator.place(value, now)
    if kind is None or _is(value, kind):
        return found
    from stream.client.validation import Fault

    fault = Fault("", "schema", f"is no event in the form {kind}")
    return found._replace(faults=(fault, *found.faults))


def _is(value: bytes, kind: str) -> bool:
    """Whether an event is in a form, by the fields that nothing else has."""
    marks = {
        "segment": {"messageId", "userId", "anonymousId"},
        "cloudevents": {"specversion"},
        "ga4": {"client_id", "events", "event_name", "user_pseudo_id", "event_params"},
    }
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        return True  # that it is no JSON is told already
    return isinstance(data, dict) and bool(marks[kind] & data.keys())


class _Tally:
    """Counts what became of events, and tells faults as they come, as many as are wanted."""

    def __init__(self, limit: int, as_json: bool) -> None:
        self._limit, self._as_json = limit, as_json
        self.events = self.refused = self.ignored = self.acknowledged = self.failed = 0
        self._reasons: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._topics: Counter[str] = Counter()

    def note(self, line: FileLine, checked: Checked) -> None:
        self.events += 1
        self._unknown.update(fault.pointer for fault in checked.warnings)
        if checked.faults:
            self.refused += 1
            self._reasons.update(f"{one.code} {one.pointer}".strip() for one in checked.faults[:1])
            for fault in checked.faults:
                self._fault(line, checked.topic, fault)
        elif checked.ignored is not None:
            self.ignored += 1
        else:
            self._topics[checked.topic] += 1

    def handed_over(self, topic: str) -> None:
        self.events += 1
        self._topics[topic] += 1

    def receipt(self, line: FileLine, placed: Acknowledged) -> None:
        self.acknowledged += 1
        if self._as_json:
            self._document_of(line, "acknowledged", placed._asdict())

    def not_sent(self, line: FileLine, why: str) -> None:
        self.failed += 1
        if self._as_json:
            self._document_of(line, "failed", {"why": why})
        elif self.failed <= self._limit:
            click.echo(f"{line.file}:{line.number}: not acknowledged: {why}", err=True)

    def _document_of(self, line: FileLine, status: str, more: dict[str, Any]) -> None:
        document = {"file": line.file, "line": line.number, "status": status, **more}
        click.echo(orjson.dumps(document))

    def _fault(self, line: FileLine, topic: str, fault: Fault) -> None:
        if self._as_json:
            self._document_of(line, "refused", {"topic": topic, **fault._asdict()})
            return
        self._limit -= 1
        if self._limit < 0:
            return
        near = f"; nearest: {fault.nearest}" if fault.nearest is not None else ""
        where = f"{fault.pointer} " if fault.pointer else ""
        click.echo(f"{line.file}:{line.number}: {where}{fault.message} ({fault.code}){near}")

    def tell(self, read: str) -> None:
        """The summary of what was read."""
        if self._as_json:
            click.echo(orjson.dumps({"summary": self._document()}))
            return
        if self._limit < 0:
            click.echo(f"… and {-self._limit:,} more faults (--limit shows more)")
        valid = self.events - self.refused - self.ignored
        topics = ", ".join(f"{count:,} {topic}" for topic, count in self._topics.items())
        parts = [f"{valid:,} valid" + (f" ({topics})" if topics else "")]
        parts += [f"{self.refused:,} refused"]
        if self.ignored:
            parts.append(f"{self.ignored:,} of no use to an offer, and ignored")
        if self.acknowledged or self.failed:
            parts.append(f"{self.acknowledged:,} acknowledged, {self.failed:,} not")
        click.echo(f"{read}: {self.events:,} events: {'; '.join(parts)}")
        for reason, count in self._reasons.most_common(10):
            click.echo(f"  {count:,} × {reason}")
        for pointer, count in self._unknown.most_common(10):
            click.echo(f"  {count:,} × {pointer} is passed over: nobody knows it")

    def _document(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "valid": self.events - self.refused - self.ignored,
            "refused": self.refused,
            "ignored": self.ignored,
            "acknowledged": self.acknowledged,
            "failed": self.failed,
            "topics": dict(self._topics),
            "reasons": dict(self._reasons),
            "unknown_fields": dict(self._unknown),
        }


class _Sending:
    """What is under way, in the order of the lines."""

    def __init__(self, lines: EventLines, tally: _Tally, progress: Gauge) -> None:
        self.lines, self.tally = lines, tally
        self._progress = progress
        self._under_way: deque[tuple[FileLine, Awaitable[Acknowledged]]] = deque()

    def put(self, line: FileLine, sent: Awaitable[Acknowledged]) -> None:
        self._under_way.append((line, sent))

    async def settle(self, most: int) -> None:
        """Wait until at most so many are under way."""
        from stream.client.producer import NotSent

        while len(self._under_way) > most:
            line, sent = self._under_way.popleft()
            try:
                self.tally.receipt(line, await sent)
            except NotSent as error:
                self.tally.not_sent(line, str(error))
        self._progress.show(self.lines.read, f"{self.tally.acknowledged:,} acknowledged")


async def _send(settings: Settings, topic: str, sending: _Sending) -> None:
    from stream.client.producer import EventProducer

    async with EventProducer(settings) as producer:
        for line in sending.lines:
            await _submit(producer, topic, line, sending)
            await sending.settle(1_000)
        await sending.settle(0)


async def _submit(producer: EventProducer, topic: str, line: FileLine, sending: _Sending) -> None:
    from stream.client.producer import EventRefused, NotSent

    try:
        sent = await producer.submit(topic, line.value)
    except EventRefused as refused:
        sending.tally.note(line, refused.checked)
        return
    except NotSent as error:
        sending.tally.events += 1
        sending.tally.not_sent(line, str(error))
        return
    sending.tally.handed_over(topic)
    sending.put(line, sent)
