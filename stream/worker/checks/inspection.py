"""Inspection: asks the broker what `agreement` compares, and does what it says.

Rules: after each recovery, before the first record is taken, every partition of ours is compared
with its ledger and its commit; while the worker runs, every topic is looked at each ten seconds,
and at once where reading jumps. What does not agree ends the worker with one line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import get_logger

from stream.broker.facts import FORBIDDEN, TopicFacts
from stream.broker.kafka.access import WAY, who
from stream.broker.protocol import Broker
from stream.broker.records import Record
from stream.broker.topics import DELETIONS
from stream.codec.customers import encode_ledger, is_record
from stream.config import ConfigError, Settings
from stream.decide.ledger import UNSTAMPED, Ledger
from stream.domain.stamps import next_place, stamp
from stream.worker.checks.agreement import (
    FoundPartition,
    GoOn,
    Refuse,
    changelog_and_origin,
    changelog_and_store,
    ledger_and_commit,
    log_and_commit,
    memory_and_origin,
    print_of,
    topic_and_ledger,
)
from stream.worker.checks.descent import Descent, descent
from stream.worker.checks.identity import ENDLESS, ComparedState, moved
from stream.worker.checks.topic_faults import widths_differ, widths_refused
from stream.worker.checks.topics import topic_specs
from stream.worker.faust.origin import StoreOrigin, wall_time
from stream.worker.faust.table import BatchTable
from stream.worker.partition import ledger_key, read_ledger

logger = get_logger(__name__)
INTERVAL: Final = 10.0  # seconds between two looks
Skipped: TypeAlias = Callable[[Mapping[TP, int]], Awaitable[Mapping[TP, tuple[int, int]]]]
PRINTS_EACH: Final = 6  # looks: a record of each partition is fetched once a minute


class Kept(NamedTuple):
    """A source's part of a partition's ledger, and how to name the partition."""

    where: str
    ledger: Ledger | None
    source: int

    @property
    def stamp(self) -> int:
        """The last stamp accounted for."""
        return -1 if self.ledger is None else self.ledger.stamps[self.source]

    @property
    def next_offset(self) -> int:
        """The offset behind the last that is accounted for."""
        return next_place(self.stamp)[1]

    def trusted(self, commit: int | None) -> int | None:
        """The commit, or what the ledger says is safe where the topic was made anew.

        The group keeps the commit of the topic's former life until the next one.
        """
        epoch, _ = next_place(self.stamp)
        if self.ledger is None or not epoch:
            return commit
        of_safe, at = next_place(self.ledger.identities[self.source].safe)
        return at if of_safe == epoch else 0

    def agrees(self, found: FoundPartition) -> Refuse | None:
        """Whether the topic is still what was accounted for."""
        if self.ledger is None:
            return None
        return topic_and_ledger(self.where, self.stamp, self.ledger.identities[self.source], found)

    def goes_on(self, commit: int | None, found: FoundPartition) -> GoOn | Refuse:
        """Where reading goes on."""
        if self.ledger is None:
            return ledger_and_commit(self.where, None, -1, commit, found)
        safe = self.ledger.identities[self.source].safe
        return ledger_and_commit(self.where, self.stamp, safe, commit, found)


class Inspection:
    """Looks at what a worker's partitions are made of.

    Parameters
    ----------
    settings
        Name the topics.
    broker
        Where to ask.
    table
        The customers, and the ledgers.
    owned
        The partitions that are read now.
    first_stamps
        Told the stamp of offset 0 of each partition of a topic that was made anew.
    lost
        Told of records that were removed unread: topic, number.
    skipped
        Tells of partitions that were expected to go on before these offsets, at which they begin,
        and have nothing behind them: expected and first offsets.
    """

    def __init__(
        self,
        settings: Settings,
        broker: Broker,
        table: BatchTable,
        owned: Callable[[], Iterable[TP]],
        first_stamps: dict[tuple[str, int], int],
        lost: Callable[[str, int], None],
        skipped: Skipped | None = None,
    ) -> None:
        self._settings = settings
        self._sources = {topic: n for n, topic in enumerate(settings.topics.events)}
        self._specs = topic_specs(settings)
        self._topics = [spec.name for spec in self._specs]
        self._were_missing = False
        self._broker = broker
        self._table = table
        self._owned = owned
        self._first_stamps = first_stamps
        self._lost = lost
        self._skipped = skipped
        self.known = ComparedState.nothing()

    async def places(self, commits: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """Where to go on in each partition of the topics that are read in batches.

        Raises
        ------
        ConfigError
            If what must agree does not.
        """
        kept = self._kept(commits)
        found = await self._found(commits, kept)
        for tp, one in kept.items():
            _heed(one.agrees(found[tp]))
        commits = {tp: kept[tp].trusted(at) if tp in kept else at for tp, at in commits.items()}
        places = {
            tp: kept[tp].goes_on(commit, found[tp])
            if tp in kept
            else log_and_commit(f"{tp.topic}-{tp.partition}", commit, found[tp])
            for tp, commit in commits.items()
        }
        at = {tp: self._going_on(tp, place) for tp, place in places.items()}
        self._know(commits, kept, found)
        await self._pass_over(kept, found)
        return at

    async def _pass_over(self, kept: Mapping[TP, Kept], found: Mapping[TP, FoundPartition]) -> None:
        """Account for what a topic no longer had when it was first read, or was lost unread.

        Else it would count as lost at each start until a record comes.
        """
        passed: dict[int, Ledger] = {}
        for tp, one in kept.items():
            start = found[tp].start
            if start > one.next_offset:
                ledger = passed.get(tp.partition, one.ledger or Ledger())
                epoch, _ = next_place(one.stamp)
                at, topic_id = stamp(epoch, start - 1), ledger.identities[one.source].topic_id
                passed[tp.partition] = moved(ledger, one.source, at, topic_id)
        for number, ledger in passed.items():
            writes = [(ledger_key(number), encode_ledger(ledger))]
            written = await (await self._table.send(number, writes))
            self._table.store(number, writes, written.offset)

    def _know(
        self,
        commits: Mapping[TP, int | None],
        kept: Mapping[TP, Kept],
        found: Mapping[TP, FoundPartition],
    ) -> None:
        """Keep what the partitions' decisions need of it."""
        for tp, one in kept.items():
            epoch, wanted = next_place(one.stamp)
            self._first_stamps.pop(tp, None)
            if epoch:
                self._first_stamps[tp] = stamp(epoch, 0)
            durable = list(self.known.durable.get(tp.partition, UNSTAMPED))
            durable[one.source] = stamp(epoch, min(commits[tp] or 0, wanted) - 1)
            self.known.durable[tp.partition] = tuple(durable)
            ends = list(self.known.ends.get(tp.partition, ENDLESS))
            ends[one.source] = stamp(epoch, found[tp].end)
            self.known.ends[tp.partition] = tuple(ends)

    async def stores(self, changelogs: Iterable[TP]) -> None:
        """Compare the customers' stores with the changelog's partitions that will fill them.

        One that is older than the changelog remembers is emptied.

        Raises
        ------
        ConfigError
            If they do not agree.
        """
        stored = {tp: self._table.persisted_offset(tp) for tp in changelogs}
        fresh = await self._origin()
        bounds = await self._broker.bounds(stored)  # afterwards: a standby may be filling up
        within = {tp: n for tp, n in stored.items() if n is not None and n < bounds[tp].end}
        records = await self._broker.records(within) if within else {}
        for tp, at in stored.items():
            start, end = bounds[tp]
            if self._settings.embedded_log is not None:
                start = 0  # there, compaction alone takes records away
            place = self._table.place(tp.partition)
            place = f" at {place}" if place else ""
            kept = self._table.origin(tp.partition)
            if at is not None and kept is not None:
                _heed(changelog_and_origin(kept, fresh, place))
            where, found = f"{tp.topic}-{tp.partition}", FoundPartition(fresh.topic_id, start, end)
            same = self._is_stored(tp, at, records.get(tp))
            _heed(changelog_and_store(where, at, same, found, place))
            if at is not None:
                reason = memory_and_origin(kept, fresh, self._table.lasting)
                if kept is not None and not fresh.topic_id:
                    reason = reason or await self._descent(tp, kept, place)
                if not reason:
                    continue
                _heed(changelog_and_store(where, None, True, found, place))  # is all of it there?
                self._table.empty(tp, reason)
            self._table.begin(tp.partition, fresh)

    async def _descent(self, tp: TP, kept: StoreOrigin, place: str) -> str:
        """Why a store can't be known again where no ids are told; empty if it is.

        Raises
        ------
        ConfigError
            If it is another changelog's.
        """
        stored = self._table.read(tp.partition, ledger_key(tp.partition))
        found = await descent(self._broker, tp, kept.mark, stored)
        if found is Descent.OTHER:
            raise ConfigError(
                f"the store{place} holds {tp.topic}-{tp.partition} with a ledger that the "
                "changelog never had: it was made anew, or is another cluster's; restore the "
                f"changelog, or delete the store{place} to go by what the changelog holds"
            )
        if found is Descent.UNKNOWN:
            return "the changelog holds no ledger that tells whether it filled it"
        sources = [TP(topic, tp.partition) for topic in self._sources]
        ledgers = self._kept(sources)
        there = await self._found(sources, ledgers)
        if any(ledger.agrees(there[source]) for source, ledger in ledgers.items()):
            return "it accounts for events that the topics do not hold"
        return ""

    async def _origin(self) -> StoreOrigin:
        """What a store comes from that is filled from now on."""
        now = wall_time()
        (spec,) = [s for s in self._specs if s.name == self._settings.customers_changelog]
        told = await self._broker.deletions_kept(spec.name)
        self._table.lasting = int(spec.config[DELETIONS]) if told is None else told
        facts = await self._broker.topics([spec.name])
        return StoreOrigin(spec.name, facts[spec.name].topic_id, now)

    def _is_stored(self, tp: TP, at: int | None, record: Record | None) -> bool:
        """Whether the store holds what the last record of it in the changelog says."""
        if record is None or record.offset != at or record.key is None:
            return True  # compaction took it
        stored = self._table.read(tp.partition, record.key)
        if stored == record.value or self._table.persisted_offset(tp) != at:
            return True
        if stored and not is_record(stored):
            return True  # the store is damaged, and is filled anew when that is read
        said = [(record.key, record.value)]
        return self._table.restored([record]) != said  # it can't be read: the store has another

    async def jumped(self, jumps: Mapping[TP, tuple[int, int]]) -> None:
        """Judge reading that did not go on where it should have: ``(expected, got)`` offsets.

        Raises
        ------
        ConfigError
            If it went back, or the topic is another one.
        """
        if any(got < expected for expected, got in jumps.values()):
            await self.look(prints=True)
        bounds = await self._broker.bounds(jumps)
        for tp, (expected, got) in jumps.items():
            if got < expected:
                raise ConfigError(
                    f"topic {tp.topic} went back: offset {expected} of partition {tp.partition} "
                    f"was next, and {got} came; it was made anew, or lost its end: start again, "
                    "and it is compared with what is accounted for"
                )
            self._count(tp, expected, min(got, bounds[tp].start))

    async def run(self) -> None:
        """Look each ten seconds, until cancelled.

        Raises
        ------
        ConfigError
            If what must agree does not.
        """
        looks = 0
        while True:
            await asyncio.sleep(INTERVAL)
            looks += 1
            try:
                await self.look(prints=looks % PRINTS_EACH == 0)
            except (KafkaError, TimeoutError, OSError) as error:
                logger.warning("could not compare the topics with what is kept: %s", error)

    async def look(self, *, prints: bool) -> None:
        """Compare topics and partitions of ours with what is kept of them.

        ``prints``: the records at the stamps, too.

        Raises
        ------
        ConfigError
            If they do not agree.
        """
        facts = await self._broker.topics(self._topics)
        if self._are_missing(facts):
            return
        owned = [tp for tp in self._owned() if tp.topic in self._sources]
        kept = self._kept(owned)  # first: what is accounted for is there by the time one asks
        ids = {name: fact.topic_id for name, fact in facts.items()}
        found = await self._found(owned, kept if prints else {}, ids)
        for tp, one in kept.items():
            _heed(one.agrees(found[tp]))
        self._know_ids(facts)
        if self._skipped is not None:
            starts = {tp: one.start for tp, one in found.items()}
            for tp, jump in (await self._skipped(starts)).items():
                self._count(tp, *jump)

    def _know_ids(self, facts: Mapping[str, TopicFacts]) -> None:
        """Keep topics' ids for good: a rebalance may come between a deletion and a look.

        Raises
        ------
        ConfigError
            If one is another than before.
        """
        for topic, fact in facts.items():
            if not fact.topic_id:
                continue  # not there, or a broker that tells none
            if self.known.topic_ids.setdefault(topic, fact.topic_id) != fact.topic_id:
                raise ConfigError(
                    f"topic {topic} was deleted and made anew while the worker ran; start it "
                    "again, and it is compared with what is accounted for"
                )

    def _are_missing(self, facts: Mapping[str, TopicFacts]) -> bool:
        """Whether topics are missing for the first time: a broker that starts may not know yet.

        Raises
        ------
        ConfigError
            If they were missing before, may not be seen, or are of the wrong width.
        """
        for name, fact in facts.items():
            if fact.error == FORBIDDEN:
                raise ConfigError(f"{who(self._settings)} may not describe topic {name}; {WAY}")
        widths = {name: fact.partitions for name, fact in facts.items() if fact.partitions}
        refuse = widths_refused if self._were_missing else widths_differ
        if refused := refuse(self._specs, widths):
            raise ConfigError(refused)
        self._were_missing = len(widths) < len(self._specs)
        return self._were_missing

    def _kept(self, tps: Iterable[TP]) -> dict[TP, Kept]:
        ours = [tp for tp in tps if tp.topic in self._sources]
        numbers = {tp.partition for tp in ours}
        ledgers = {number: read_ledger(self._table, number) for number in numbers}
        return {
            tp: Kept(f"{tp.topic}-{tp.partition}", ledgers[tp.partition], self._sources[tp.topic])
            for tp in ours
        }

    async def _found(
        self,
        tps: Iterable[TP],
        kept: Mapping[TP, Kept],
        ids: Mapping[str, str] | None = None,
    ) -> dict[TP, FoundPartition]:
        if ids is None:
            facts = await self._broker.topics(self._topics)
            ids = {name: fact.topic_id for name, fact in facts.items()}
            self._know_ids(facts)
        bounds = await self._broker.bounds(tps)
        places = {tp: one.next_offset - 1 for tp, one in kept.items() if one.next_offset}
        within = {tp: at for tp, at in places.items() if bounds[tp].start <= at < bounds[tp].end}
        records = await self._broker.records(within) if within else {}
        return {
            tp: FoundPartition(
                ids.get(tp.topic, ""),
                *bounds[tp],
                print_of(records[tp]) if tp in records else None,
            )
            for tp in tps
        }

    def _going_on(self, tp: TP, place: GoOn | Refuse) -> int:
        if isinstance(place, Refuse):
            raise ConfigError(place.line)
        if place.note:
            logger.error("%s", place.note)
        self._count(tp, place.at - place.lost, place.at)
        return place.at

    def _count(self, tp: TP, start: int, end: int) -> None:
        """Tell of records of a partition that nobody will ever read."""
        if end > start:
            logger.error(
                "%s-%d: offsets %d to %d were removed before they were read: %d records are lost; "
                "keep them longer (retention.ms), or start more workers",
                *(*tp, start, end - 1, end - start),
            )
            self._lost(tp.topic, end - start)


def _heed(refused: Refuse | None) -> None:
    if refused is not None:
        raise ConfigError(refused.line)
