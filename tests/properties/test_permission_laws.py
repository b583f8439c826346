"""Permission is what the set of records says, in whatever order they come, whatever crashes.

Records of four topics, some refused, late, repeated or too many, are fetched in pieces, merged by
the product's own merge (or hardly: topics that are behind are not waited for), decided by the
product's own partition, in batches of any size; a crash throws away what was not durable, and
what was not committed comes again. An oracle of a few lines says what must be so at the end.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.broker.local.frame import StoredRecord
from stream.codec.customers import decode_ledger, decode_state
from stream.codec.events.decoding import EventDecoder
from stream.codec.schema import load_schemas
from stream.config import CoreSettings, PolicySettings, Topics
from stream.decide.rows.state import CustomerState
from stream.decide.world import World
from stream.domain.event import Source
from stream.worker.faust.lane import LaneQueue, TopicGroup
from stream.worker.faust.records import Batch, Lane
from stream.worker.faust.table import BatchTable
from stream.worker.partition import Partition, ledger_key
from stream.worker.reading import EventReader
from tests.builders import DAY, HOUR, NOON, SECOND

TOPICS = Topics().events
CUSTOMERS = ("anna", "berta")
OUTCOMES = ("applied", "duplicate", "rejected", "late", "suppressed")
DECODER = EventDecoder(load_schemas(), CoreSettings())
KINDS: dict[str, dict[str, Any]] = {
    "clicks": {"event": "view", "product_id": "tea"},
    "purchases": {"event": "purchase", "order_id": "o", "products": [{"product_id": "tea"}]},
    "feedback": {"event": "dismiss", "offer_id": "of"},
    "customers": {},
}


class Said(NamedTuple):
    """What a record is made of: when, to which topic, of whom, what it says, what is wrong."""

    time: int
    topic: str
    who: str
    profiling: bool | None
    offers: bool | None
    erase: bool
    fault: str


records = st.lists(
    st.builds(
        Said,
        time=st.integers(0, 60).map(lambda n: NOON + n * SECOND),
        topic=st.sampled_from((*TOPICS, "customers")),
        who=st.sampled_from(CUSTOMERS),
        profiling=st.sampled_from([None, None, None, True, False]),
        offers=st.sampled_from([None, None, True, False]),
        erase=st.sampled_from([False, False, False, True]),
        fault=st.sampled_from(["", "", "", "price", "type", "again", "again", "late"]),
    ),
    min_size=4,
    max_size=24,
)


def log_of(said: Sequence[Said], flood: int) -> dict[str, list[StoredRecord]]:
    """The topics, each in the order of arrival; a flood of clicks stands between."""
    logs: dict[str, list[StoredRecord]] = {topic: [] for topic in TOPICS}

    def add(topic: str, who: str, time: int, fields: dict[str, Any]) -> None:
        value = orjson.dumps({"customer_id": who, "timestamp": time} | fields)
        log = logs[topic]
        log.append(StoredRecord(topic, 0, len(log), NOON + HOUR, who.encode(), value))

    for topic in TOPICS:  # so that what is late is late
        add(topic, "zed", NOON, {"event_id": topic, "order_id": topic} | KINDS[topic])
    for n, one in enumerate(said):
        fields = {"event_id": "same" if one.fault == "again" else f"e{n}"} | KINDS[one.topic]
        if one.topic == "purchases":
            fields["order_id"] = fields["event_id"]
        consent = {"profiling": one.profiling, "offers": one.offers}
        if consent != {"profiling": None, "offers": None}:
            fields["consent"] = consent
        if one.erase:
            fields["erase"] = True
        if one.fault == "price":
            fields["products" if one.topic == "purchases" else "schema_version"] = -1
        if one.fault == "type":
            fields["event_id"] = [7]
        add(one.topic, one.who, one.time - (3 * DAY if one.fault == "late" else 0), fields)
        if n == len(said) // 2:
            for k in range(flood):
                add("clicks", "anna", NOON, {"event_id": f"f{k}"} | KINDS["clicks"])
    return logs


class Table:
    """What is durable: the table's writes, and the offsets that were committed."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.committed = dict.fromkeys(TOPICS, 0)

    def read(self, partition: int, key: bytes) -> bytes | None:
        return self.kept.get(key)

    def customers(self) -> dict[str, CustomerState]:
        return {k.decode(): decode_state(v) for k, v in self.kept.items() if k[:1] != b"\0"}


def lives(
    logs: dict[str, list[StoredRecord]], world: World, chance: random.Random, merged: bool
) -> Iterator[tuple[Table, bool]]:
    """One life of a worker after the other; the last one reads everything, and says so."""
    table = Table()
    for life in range(4):
        yield table, live(logs, table, world, chance, merged, 60 if life < 3 else 10**9)


def live(
    logs: dict[str, list[StoredRecord]],
    table: Table,
    world: World,
    chance: random.Random,
    merged: bool,
    steps: int,
) -> bool:
    """Fetch, decide, write and commit by chance, until all is done or the steps are."""
    reader = EventReader(DECODER, Topics(), 1)
    lane = LaneQueue(
        TopicGroup("events", TOPICS, reader.read, limit=chance.randint(1, 40), wait=0.0)
    )
    partition = Partition(0, cast(BatchTable, table), 100)
    at, under_way = dict(table.committed), list[Any]()

    def is_behind(topic: str) -> bool:
        return at[topic] < len(logs[topic])

    for now in range(steps):
        topic = chance.choice(TOPICS)
        fetched = logs[topic][at[topic] : at[topic] + chance.randint(0, 9)]
        at[topic] += len(fetched)
        lane.merge.add(topic, fetched, map(reader.read, fetched))
        lane.merge._wait = 10**6 if merged else 0.0
        if arrived := lane.take(is_behind, float(now)):
            batch = Batch(Lane("events", 0), arrived)
            under_way.append(partition.decide(batch, world, 10**9, alone=True))
        while under_way and chance.random() < 0.5:
            flush = under_way.pop(0)
            for key, value in flush.writes:
                table.kept.pop(key, None)
                if value is not None:
                    table.kept[key] = value
            partition.stored(flush)
            partition.safe(flush)
            if chance.random() < 0.5 and not under_way:
                for tp, offset in flush.batch.next_offsets.items():
                    table.committed[tp.topic] = offset
        if not (under_way or lane.merge.size or any(map(is_behind, TOPICS))):
            return True
    return False


def permitted(said: Sequence[Said], who: str, purpose: str) -> bool:
    """The oracle: the newest word after the newest erasure, of two of one time the no."""
    erased = max((one.time for one in heard(said, who) if one.erase), default=0)
    words = [
        (one.time, not getattr(one, purpose))
        for one in heard(said, who)
        if getattr(one, purpose) is not None and one.time > erased
    ]
    return bool(words) and not max(words)[1]


def heard(said: Sequence[Said], who: str) -> Iterator[Said]:
    """The words that count: a yes of what is no event, or is late, does not."""
    for one in said:
        if one.who != who:
            continue
        late = one.time - 3 * DAY
        if one.fault == "late":
            yield one._replace(time=late, **_refusals(one))
        elif one.fault in ("price", "type"):
            yield one._replace(**_refusals(one))
        else:
            yield one


def _refusals(one: Said) -> dict[str, Any]:
    return {p: False if getattr(one, p) is False else None for p in ("profiling", "offers")}


@settings(max_examples=300)
@given(records, st.sampled_from([0, 150]), st.integers(0, 2**32), st.booleans())
def test_permission_depends_on_what_was_said_and_not_on_order_batches_or_crashes(
    said: list[Said], flood: int, drawn: int, merged: bool
) -> None:
    policy = PolicySettings(holdout=0.0, offer_gap=0.0, offers_per_day=24)
    world = World(settings=CoreSettings(policy=policy))
    logs = log_of(said, flood)
    table, done = list(lives(logs, world, random.Random(drawn), merged))[-1]
    assert done
    customers = table.customers()
    for who in CUSTOMERS:
        state = customers.get(who, CustomerState())
        may_profile = permitted(said, who, "profiling")
        assert (state.permission.profiling or False) is may_profile, who
        assert (state.permission.offers or False) is permitted(said, who, "offers"), who
        last_no = max((o.time for o in heard(said, who) if o.profiling is False), default=0)
        erased = max((o.time for o in heard(said, who) if o.erase), default=0)
        learned_from = state.profile.first_seen
        assert not learned_from or (may_profile and learned_from > max(last_no, erased)), who
        yeses = [o.time for o in heard(said, who) if o.profiling and o.time > max(last_no, erased)]
        assert not learned_from or learned_from >= min(yeses), who
        later = [o for o in said if o.who == who and o.time > erased]
        if who in customers and erased:
            assert later, f"{who} is back"
        for time in (state.delivery.last_offer, *(t for _, t in state.delivery.made)):
            assert not time or time > erased, who
    counts = decode_ledger(table.kept[ledger_key(0)]).counts
    assert sum(counts.get(outcome, 0) for outcome in OUTCOMES) == sum(map(len, logs.values()))


def test_the_topics_stand_in_the_order_of_their_stamps() -> None:
    assert [source.name.lower() for source in Source] == list(TOPICS)
