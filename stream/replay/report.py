"""What a replay came to: numbers for machines; ``stream.cli`` puts them into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stream.decide.rows.state import CustomerState
from stream.replay.replay import Account

if TYPE_CHECKING:
    from stream.replay.deadletters import DeadRow

OUTCOMES = ("applied", "duplicate", "late", "suppressed", "rejected")
"""What becomes of an event, each of exactly one of these."""


@dataclass(frozen=True, slots=True)
class People:
    """The customers that are known at the end; ``spent`` is net, in minor units by currency."""

    customers: int = 0
    orders: int = 0
    refunds: int = 0
    spent: Mapping[str, int] = field(default_factory=dict)


def count_people(customers: Iterable[tuple[str, CustomerState]]) -> People:
    """Add up the customers' records."""
    number = orders = refunds = 0
    spent: Counter[str] = Counter()
    for _, state in customers:
        number += 1
        orders += state.profile.orders
        refunds += state.profile.refunds
        for currency, amount in state.profile.spent:
            spent[currency] += amount
    return People(number, orders, refunds, dict(sorted(spent.items())))


def outcomes(counts: Mapping[str, int]) -> dict[str, int]:
    """Tell from an engine's counts how many events became what.

    >>> outcomes({"applied": 7, "rejected:schema": 2, "denied:holdout": 3, "offers": 1})
    {'applied': 7, 'duplicate': 0, 'late': 0, 'suppressed': 0, 'rejected': 2}
    """
    found = {name: counts.get(name, 0) for name in OUTCOMES[:-1]}
    return found | {"rejected": sum(by_reason(counts, "rejected").values())}


def by_reason(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Take an engine's counts of one kind by their reasons, the most frequent first."""
    found = {
        name.removeprefix(f"{prefix}:"): count
        for name, count in counts.items()
        if name.startswith(f"{prefix}:") and count
    }
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


@dataclass(slots=True)
class Report:
    """A replay's numbers.

    ``published`` are the events of this run, ``present`` the records of one before it; ``counts``
    are the engine's for this run, None where no engine ran, and ``log_counts`` those since the log
    began.
    """

    file: str
    mapping: str
    broker: str
    rows: int
    account: Account
    seconds: float = 0.0
    published: int = 0
    present: int = 0
    offers: int = 0
    finished: bool = True
    counts: Mapping[str, int] | None = None
    log_counts: Mapping[str, int] = field(default_factory=dict)
    people: People | None = None
    quality: Mapping[str, object] | None = None
    segments: tuple[str, ...] = ()
    waits: tuple[float, float] | None = None  # s from event to offer: median, 99th percentile
    offers_file: str | None = None
    refused_file: str | None = None
    kept: bool = True  # False: the log was a temporary one
    given: tuple[tuple[str, ...], str] | None = None  # files and mapping, as they were named
    dead: Sequence[DeadRow] = ()  # the events that became dead letters, where they can be read

    def rejected(self) -> int:
        """How many events of this run became dead letters."""
        return outcomes(self.counts or {})["rejected"]

    def late(self) -> int:
        """How many events of this run came too late to be applied."""
        return outcomes(self.counts or {})["late"]

    def nothing_done(self) -> str | None:
        """Say why a finished run came to nothing at all; None if it came to something."""
        account = self.account
        if not account.rows:
            return f"{self.file} has no rows: there is nothing to replay"
        if not account.published:
            reason, count = account.refused.most_common(1)[0]
            example = account.examples[reason]
            return (
                f"not one of {account.rows:,} rows became an event: does the mapping "
                f"{self.mapping} fit? {count:,} are refused as {reason}, such as row "
                f"{example.row:,}{_of(example.file)} (--refused OUT has each with its reason)"
            )
        if self.counts is None or not self.published:
            return None
        became = outcomes(self.counts)
        if became["rejected"] + became["late"] < self.published:
            return None
        if became["late"] > became["rejected"]:
            return f"all of {self.published:,} events came too late: see above how to replay them"
        return f"not one of {self.published:,} events was applied: {self._commonest()}"

    def _commonest(self) -> str:
        """The commonest reason of dead letters, with its field and an example."""
        if not self.dead:
            reason = next(iter(by_reason(self.counts or {}, "rejected")), "unknown")
            return f"the commonest reason of the dead letters is {reason}"
        kinds = Counter((row.reason, row.field) for row in self.dead)
        (reason, place), count = kinds.most_common(1)[0]
        example = next(row for row in self.dead if (row.reason, row.field) == (reason, place))
        return (
            f"{count:,} are dead letters for {reason}, such as row {example.row:,}"
            f"{_of(example.file)}: {example.detail} (--refused OUT has each with its reason)"
        )

    def unaccounted(self) -> int:
        """Events published by this run of which the engine does not tell what became."""
        return 0 if self.counts is None else self.published - sum(outcomes(self.counts).values())

    def as_json(self) -> dict[str, Any]:
        """One object, for machines."""
        account = self.account
        document: dict[str, Any] = {
            "file": self.file,
            "mapping": self.mapping,
            "broker": self.broker if self.kept else None,
            "finished": self.finished,
            "seconds": round(self.seconds, 3),
            "rows": account.rows,
            "rows_planned": self.rows,
            "events": dict(account.published),
            "merged": account.merged,
            "refused": dict(account.refused),
            "catalog": account.catalog,
            "published": self.published,
            "already_there": self.present,
            "offers_file": self.offers_file,
            "refused_file": self.refused_file,
            "files": list(self.given[0]) if self.given else [self.file],
        }
        if self.counts is None:
            return document
        return document | {
            "outcomes": outcomes(self.counts),
            "rejected": by_reason(self.counts, "rejected"),
            "denied": by_reason(self.counts, "denied"),
            "unaccounted": self.unaccounted(),
            "since_the_log_began": dict(sorted(self.log_counts.items())),
            "offers": self.offers,
            "customers": self.people.customers if self.people else 0,
            "orders": self.people.orders if self.people else 0,
            "refunds": self.people.refunds if self.people else 0,
            "spent_minor": dict(self.people.spent) if self.people else {},
            "quality": self.quality,
            "segments": list(self.segments),
            "event_to_offer_seconds": (
                None if self.waits is None else {"p50": self.waits[0], "p99": self.waits[1]}
            ),
        }


def _of(file: str | None) -> str:
    return "" if file is None else f" of {file}"
