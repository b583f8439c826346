"""``offerstream dead-letters``: what was refused and why, and sending it again."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
import orjson

from stream.cli.moments import MomentParam
from stream.cli.options import settings_option
from stream.cli.progress import gauge
from stream.config import ConfigError, Settings
from stream.domain.event import RejectionCode

if TYPE_CHECKING:
    from stream.client.burials import Filter, Letter, Replayed

P = ParamSpec("P")
R = TypeVar("R")

REASONS = [code.value for code in RejectionCode]
_FILTERS = (
    click.option("--reason", "codes", multiple=True, type=click.Choice(REASONS),
                 help="Refused for this reason; may be repeated."),
    click.option("--field", metavar="POINTER", help="This field was wrong, such as /price."),
    click.option("--producer", metavar="NAME", help="Sent by: the header producer, ce_source or "
                 "client.id, else the topic."),
    click.option("--topic", metavar="NAME", help="It came from this topic."),
    click.option("--since", type=MomentParam(), help="Buried at or after this time."),
    click.option("--until", type=MomentParam(), help="Buried before this time."),
)  # fmt: skip


def filtered(command: Callable[..., R]) -> Callable[..., R]:
    """Give ``command`` the filter that its options make, as ``wanted``."""

    @wraps(command)
    def with_filter(*args: Any, **named: Any) -> R:
        from stream.client.burials import Filter

        codes = frozenset(map(RejectionCode, named.pop("codes")))
        names = ("field", "producer", "topic", "since", "until")
        wanted = Filter(codes, **{name: named.pop(name) for name in names})
        return command(*args, wanted=wanted, **named)

    decorated: Callable[..., R] = with_filter
    for option in reversed(_FILTERS):
        decorated = option(decorated)
    return decorated


@click.group("dead-letters")
def dead_letters() -> None:
    """Show what was refused, and send it again once it is mended."""


@dead_letters.command("list")
@settings_option
@filtered
@click.option("--each", is_flag=True, help="Each letter, instead of how many of a kind.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_letters(settings: Settings, wanted: Filter, each: bool, as_json: bool) -> None:
    """Show what was refused: how often for which reason, field, topic and producer.

    \b
    offerstream dead-letters list --broker kafka://127.0.0.1:9092
    offerstream dead-letters list --reason value_range --field /price --each
    """
    kinds: Counter[tuple[str, str, str, str]] = Counter()
    examples: dict[tuple[str, str, str, str], Letter] = {}

    def take(letter: Letter) -> None:
        if each:
            click.echo(orjson.dumps(_document(letter)) if as_json else _line(letter))
            return
        restored = letter.restored
        kind = restored.rejection.code, letter.field, restored.record.topic, letter.producer
        kinds[kind] += 1
        examples.setdefault(kind, letter)

    read = _read(settings, wanted, take, quiet=as_json)
    for kind, count in kinds.most_common():
        code, field, topic, producer = kind
        if as_json:
            document = {"count": count, "reason": code, "field": field, "topic": topic,
                        "producer": producer, "example": examples[kind].place}  # fmt: skip
            click.echo(orjson.dumps(document))
        else:
            by = "" if producer == topic else f" from {producer}"
            detail = examples[kind].restored.rejection.detail
            click.echo(
                f"{count:>9,} × {topic}{by}: {code}: {detail}  (one: {examples[kind].place})"
            )
    if not read and not as_json:
        click.echo("no dead letter is meant")


@dead_letters.command
@settings_option
@click.argument("place")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(settings: Settings, place: str, as_json: bool) -> None:
    """Show one letter, PARTITION:OFFSET as `list` names it, with its key, headers and value.

    \b
    offerstream dead-letters show 2:17
    """
    from stream.client.burials import Filter

    found: list[Letter] = []

    def take(letter: Letter) -> None:
        if letter.place == place:
            found.append(letter)

    _read(settings, Filter(), take, quiet=as_json)
    if not found:
        raise ConfigError(
            f"there is no dead letter {place!r}: `offerstream dead-letters list --each` names them"
        )
    document = _document(found[0]) | _content(found[0])
    if as_json:
        click.echo(orjson.dumps(document))
        return
    width = max(map(len, document))
    for name, value in document.items():
        click.echo(f"{name:<{width}}  {value}")


@dead_letters.command
@settings_option
@filtered
@click.option("--dry-run", is_flag=True, help="Send nothing; show what would be sent.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Letters a second, at most.")
@click.option(
    "--most-attempts",
    default=3,
    show_default=True,
    type=click.IntRange(1, 999),
    help="A letter that has died so often is not sent again.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(
    settings: Settings,
    wanted: Filter,
    dry_run: bool,
    rate: float | None,
    most_attempts: int,
    as_json: bool,
) -> None:
    """Send letters again, as they were, to the topics that they came from.

    What is sent twice counts once. Those of which only a part is left are not sent. The exit code
    is 0 if some were meant, and all that were sent are durable.

    \b
    offerstream dead-letters replay --reason partition --dry-run
    offerstream dead-letters replay --reason partition --rate 500
    """
    from stream.client.burials import replay as send_again

    with gauge("reading", None, "letters", quiet=as_json) as progress:

        def shown(so_far: Replayed, read: int) -> None:
            progress.show(read, f"{so_far.sent:,} sent")

        work = send_again(settings, wanted, most=most_attempts, rate=rate, dry=dry_run, shown=shown)
        done = asyncio.run(work)
    if as_json:
        click.echo(orjson.dumps(done._asdict() | {"dry_run": dry_run}))
    else:
        click.echo(_summary(done, dry_run, most_attempts))
    sys.exit(0 if done.sent and not done.failed else 2)


def _read(
    settings: Settings, wanted: Filter, take: Callable[[Letter], None], *, quiet: bool
) -> int:
    """Hand letters to ``take``; how many."""
    from stream.broker.opening import open_broker
    from stream.client.burials import letters

    async def read() -> int:
        count = 0
        async with open_broker(settings) as broker:
            with gauge("reading", None, "letters", quiet=quiet) as progress:
                async for letter in letters(broker, settings, wanted, progress.show):
                    take(letter)
                    count += 1
        return count

    return asyncio.run(read())


def _line(letter: Letter) -> str:
    restored = letter.restored
    record = restored.record
    return (
        f"{letter.place:<10} {_time(letter.time)}  {record.topic} {record.partition}@"
        f"{record.offset}  {restored.rejection.code}: {restored.rejection.detail}"
    )


def _document(letter: Letter) -> dict[str, Any]:
    restored, record = letter.restored, letter.restored.record
    return {
        "place": letter.place,
        "buried_at": _time(letter.time),
        "reason": restored.rejection.code.value,
        "message": restored.rejection.detail,
        "field": letter.field,
        "producer": letter.producer,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "stage": restored.stage,
        "attempt": restored.attempt,
        "version": restored.version,
        "complete": restored.complete,
    }


def _content(letter: Letter) -> dict[str, Any]:
    record = letter.restored.record
    return {
        "key": _text(record.key),
        "headers": {name: _text(raw) for name, raw in record.headers},
        "value": _text(record.value),
    }


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _summary(done: Replayed, dry: bool, most: int) -> str:
    if not any(done):
        return "no dead letter is meant"
    parts = [f"{done.sent:,} {'would be sent' if dry else 'sent again and durable'}"]
    if done.failed:
        parts.append(f"{done.failed:,} not acknowledged")
    if done.cut:
        parts.append(f"{done.cut:,} of which only a part is left")
    if done.often:
        parts.append(f"{done.often:,} that died {most} times or more (--most-attempts)")
    if done.elsewhere:
        parts.append(f"{done.elsewhere:,} from topics that are not of these settings")
    return "; ".join(parts)
