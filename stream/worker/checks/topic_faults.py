"""What is wrong with topics as they are: what a worker refuses, and what it only remarks on.

Rules: refused is what loses events or state, or lets no worker go on; odd is what an operator may
have meant. Each is one line that names the topic, what is found, and the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stream.broker.topics import Change, TopicSpec, TopicState

LEAST_RETENTION: Final = 3_600_000  # ms: a worker that is away for an hour must lose nothing
APPLY: Final = "`offerstream topics apply` sets it"
UNLIMITED: Final = "-1"


def widths_refused(specs: Sequence[TopicSpec], widths: Mapping[str, int]) -> str:
    """Why topics with so many partitions can't be worked on, or be missing; empty if they can."""
    missing = [spec.name for spec in specs if not widths.get(spec.name)]
    return absent(missing) if missing else widths_differ(specs, widths)


def absent(missing: Sequence[str], where: str = "") -> str:
    """The line about topics that are not there; ``where`` stands behind it."""
    more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
    return (
        f"topic {missing[0]}{more} missing{where}; "
        "create what is missing with `offerstream topics apply`"
    )


def widths_differ(specs: Sequence[TopicSpec], widths: Mapping[str, int]) -> str:
    """Why topics that are there have the wrong number of partitions; empty if they have not."""
    there = [spec for spec in specs if widths.get(spec.name)]
    wrong = next((spec for spec in there if widths[spec.name] != spec.partitions), None)
    if wrong is None:
        return ""
    name, have = wrong.name, widths[wrong.name]
    asked = f"topic {name} has {_partitions(have)}, and the settings ask for {wrong.partitions}"
    if wrong.shared:
        return (
            f"{asked}; it is read whole by every worker: delete it and run "
            "`offerstream topics apply`"
        )
    other = next((s.name for s in there if not s.shared and widths[s.name] != have), None)
    if other is None:
        return (
            f"{asked}; changing that would part customers from their state: set partitions = "
            f"{have} (OFFERSTREAM_PARTITIONS), or use new topics with topics.prefix and app_id"
        )
    return (
        f"{asked}, and topic {other} has {widths[other]}: partitions that are added part customers "
        "from their state, and can't be taken away; stop the producers, and begin anew with new "
        "topics (topics.prefix, app_id, partitions) as docs/operations.md says under More "
        "partitions"
    )


def settings_refused(
    changes: Iterable[Change], specs: Iterable[TopicSpec], states: Mapping[str, TopicState]
) -> str:
    """Why topics so configured lose what they hold, or take no more; empty if they don't."""
    wanted = {spec.name: spec for spec in specs}
    for change in changes:
        because = _REFUSED.get(change.key)
        if because is None or not (words := because(change.have, change.want)):
            continue
        return f"topic {change.topic} has {change.key} = {change.have}: {words}; {APPLY}"
    for name, state in states.items():
        least = int(state.config.get("min.insync.replicas") or 1)
        if name in wanted and least > state.replication:
            return (
                f"topic {name} has min.insync.replicas = {least} and {state.replication} "
                f"replica(s): no write is accepted; {APPLY}"
            )
    return ""


def settings_odd(
    changes: Iterable[Change], specs: Iterable[TopicSpec], states: Mapping[str, TopicState]
) -> Iterator[str]:
    """What is remarkable about topics' settings, a line each."""
    for change in changes:
        refused = _REFUSED.get(change.key)
        if refused is None or not refused(change.have, change.want):
            yield (
                f"topic {change.topic} has {change.key} = {change.have or 'unset'}, "
                f"and {change.want} is advised; {APPLY}"
            )
    for spec in specs:
        state = states.get(spec.name)
        if state is None:
            continue
        limit = state.config.get("retention.bytes", UNLIMITED)
        if "delete" in spec.config["cleanup.policy"] and limit != UNLIMITED:
            yield (
                f"topic {spec.name} has retention.bytes = {limit}: a burst may push out what was "
                "not read yet"
            )
        if state.config.get("unclean.leader.election.enable") == "true":
            yield (
                f"topic {spec.name} has unclean.leader.election.enable = true: a broker's failure "
                "may take the end of it"
            )


def suffices(key: str, have: str, want: str, replicas: int) -> bool:
    """Whether a topic of so many replicas is as it should be, or keeps or takes more than that.

    >>> suffices("retention.ms", "-1", "604800000", 1), suffices("segment.ms", "2", "1", 1)
    (True, False)
    """
    if have == want or key not in _MORE_IS_FINE or not have:
        return have == want
    if key == "min.insync.replicas" and int(have) > replicas:
        return False  # no write would be accepted
    return have == UNLIMITED or int(have) > int(want)


def too_large(topic: str, size: int, specs: Iterable[TopicSpec]) -> str:
    """Why a topic refused a batch of so many bytes, which it must take."""
    wanted = {spec.name: spec.config.get("max.message.bytes", "0") for spec in specs}
    least = int(wanted.get(topic, "0"))
    way = APPLY if size < least else "set it, or let its producers write less"
    return (
        f"topic {topic} refuses {size} bytes of records: its max.message.bytes must be at least "
        f"{max(least, size)}; {way}"
    )


def _partitions(number: int) -> str:
    return "1 partition" if number == 1 else f"{number} partitions"


def _policy(have: str, want: str) -> str:
    if want == "compact":
        return "the newest value of each key must stay, and is deleted when it is old"
    return "every record counts, and only the newest of each key would stay"


def _retention(have: str, want: str) -> str:
    kept = int(have or UNLIMITED)
    if 0 <= kept < LEAST_RETENTION:
        return f"what is not read within {kept / 1000:g} s is lost"
    return ""


def _largest(have: str, want: str) -> str:
    return f"records of up to {want} bytes are written" if int(have or 0) < int(want) else ""


_MORE_IS_FINE: Final = {"retention.ms", "max.message.bytes", "min.insync.replicas"}
_REFUSED: Final[Mapping[str, Callable[[str, str], str]]] = {
    "cleanup.policy": _policy,
    "retention.ms": _retention,
    "max.message.bytes": _largest,
}
