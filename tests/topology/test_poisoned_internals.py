"""Topics of our own that hold what no worker wrote: passed, counted, and the same for everybody."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from stream.broker.local.frame import StoredRecord
from stream.broker.records import Unreadable
from stream.codec.batches.recordbatch import SetAside
from stream.codec.customers import (
    LOST,
    decode_ledger,
    decode_record,
    decode_state,
    encode_ledger,
    encode_page,
    encode_record,
    encode_state,
    is_record,
)
from stream.codec.examples import EncodedLessons, Lesson, encode_examples, encode_lesson
from stream.codec.rules import encode_key, encode_rule
from stream.decide.example import Basket, Labelled, Portrait, SessionStep
from stream.decide.rows import features
from stream.decide.rows.due import Due, Ends
from stream.decide.rows.layout import EXPOSURE, HEAD, SIZE
from stream.decide.rows.state import CustomerState, Effect
from stream.domain.event import Consent, Rejection, RejectionCode, Source
from stream.insight.changelog import read_customers
from stream.learn.rulebook import Said
from stream.models.association import Rule
from stream.worker.engine import Engine
from stream.worker.learning.verification import verify_models
from stream.worker.partition import ledger_key, page_key
from stream.worker.restoring import Restoring
from tests.builders import SECOND, a_click, a_purchase, an_update
from tests.topology.embedded import look, publication, running, settings_in

pack = msgspec.msgpack.encode


def lesson(*examples: Any, partition: int = 0, source: int = 0, offset: int = 1 << 20) -> bytes:
    taught = EncodedLessons(source, offset, encode_examples(examples))
    return encode_lesson(Lesson(partition, (taught,)))


def label(**changed: Any) -> Labelled:
    fields = {"time": 1, "label": 1, "segment": None, "features": bytes(64)} | changed
    return Labelled(**fields)


def step(**changed: Any) -> SessionStep:
    fields: dict[str, Any] = {
        "time": 1, "session": 1, "segment": None, "item": "p", "previous": (), "category": None,
        "brand": None, "price": None,
    }  # fmt: skip
    return SessionStep(**fields | changed)


GARBAGE: dict[str, bytes | None] = {
    "nothing": b"",
    "no value": None,
    "text": b"no lesson",
    "NULs": bytes(100),
    "nested beyond reason": b"\x91" * 5_000,
    "another shape": pack({"partition": 0}),
    "an example of a kind to come": encode_lesson(
        Lesson(0, (EncodedLessons(0, 1, pack([(9, [])])),))
    ),
    "an example of no kind": encode_lesson(Lesson(0, (EncodedLessons(0, 1, pack([(-1, [])])),))),
    "examples that are none": encode_lesson(Lesson(0, (EncodedLessons(0, 1, b"\xff\xff"),))),
    "too few features": lesson(label(features=bytes(60))),
    "too many features": lesson(label(features=bytes(6_000))),
    "a label of 2": lesson(label(label=2)),
    "a segment of a million": lesson(label(segment=10**6)),
    "a segment below 0": lesson(label(segment=-5)),
    "a time below 0": lesson(step(time=-1)),
    "a time beyond all": lesson(Basket(2**62, None, ("a", "b"))),
    "a time of 65 bits": lesson(Basket(2**64 - 1, None, ("a", "b"))),
    "an item of a megabyte": lesson(step(item="x" * 2**20)),
    "a session of 64 bits": lesson(step(session=2**64 - 1)),
    "a look back of thousands": lesson(step(previous=("a",) * 4_000)),
    "no number": lesson(Portrait(1, (float("nan"),) * 6)),
    "an endless number": lesson(Portrait(1, (float("inf"),) * 6)),
    "too few axes": lesson(Portrait(1, (1.0,))),
    "an offset below 0": lesson(step(), offset=-7),
    "an offset beyond all": lesson(step(), offset=10**12),
    "an offset of 64 bits": lesson(step(), offset=2**63),
    "a partition below 0": lesson(step(), partition=-9),
    "a partition beyond all": lesson(step(), partition=10**6),
    "a source of none": lesson(step(), source=17),
    "half good": encode_lesson(
        Lesson(
            0,
            (
                EncodedLessons(0, 1 << 20, encode_examples([step()])),
                EncodedLessons(0, 1 << 21, b"?"),
            ),
        )
    ),
}


async def shopping(engine: Engine, chance: random.Random, first: int, count: int = 60) -> None:
    """So many clicks and orders, settled."""
    await engine.publish(
        [
            publication(
                a_purchase(n, f"c{chance.randrange(5)}", time=a_click(0).time + n * 60 * SECOND)
                if chance.random() < 0.2
                else a_click(n, f"c{chance.randrange(5)}", time=a_click(0).time + n * 60 * SECOND)
            )
            for n in range(first, first + count)
        ]
    )
    await engine.settle()


async def test_what_is_no_lesson_is_passed_and_everybody_learns_the_same(
    tmp_path: Path, seed: int
) -> None:
    chance, settings = random.Random(seed), settings_in(tmp_path)
    examples = settings.topics.examples
    async with running(settings) as engine:
        await shopping(engine, chance, 0)
        before = engine.status().learned
        for name, value in GARBAGE.items():
            await (await engine.app.send_batch(examples, 0, [(None, value, None, ())]))
            await shopping(engine, chance, 1_000 + 100 * list(GARBAGE).index(name), 5)
        seen = await look(engine)
        refused = 'internal_records_refused_total{topic="examples"}'
        assert seen.metrics[refused] == len(GARBAGE)
        learned = engine.status().learned
        assert learned > before + len(GARBAGE)
        settled = encode_lesson(Lesson(-1, (), 2**61))  # outbids nobody
        await (await engine.app.send_batch(examples, 0, [(None, settled, None, ())]))
        await shopping(engine, chance, 50_000)
        assert engine.status().learned > learned
    assert (await asyncio.to_thread(verify_models, settings)).holds
    async with running(settings) as again:
        await shopping(again, chance, 60_000)
    assert (await asyncio.to_thread(verify_models, settings)).holds


RULE = Said(Rule(("a",), "b", 0.1, 0.5, 2.0, 10), 100)
KEY = encode_key(RULE.key)
GOOD = encode_rule(RULE, 1)
RULES: dict[str, tuple[bytes | None, bytes | None]] = {
    "another's key": (b"\0\xff", GOOD),
    "text": (KEY, b"no rule"),
    "nothing": (KEY, b""),
    "a list": (KEY, b"[]"),
    "no number": (KEY, GOOD.replace(b"0.1", b'"x"')),
    "no list": (KEY, GOOD.replace(b'["a"]', b"7")),
    "lists in a list": (KEY, GOOD.replace(b'["a"]', b'[["a"]]')),
    "a share of 7": (KEY, GOOD.replace(b"0.5", b"7")),
    "nested beyond reason": (KEY, b"[" * 100_000),
    "no text": (KEY, b"\xff\xfe"),
}


async def test_what_is_no_rule_is_passed_and_rules_are_written_on(
    tmp_path: Path, seed: int
) -> None:
    chance, settings = random.Random(seed), settings_in(tmp_path)
    async with running(settings) as engine:
        await shopping(engine, chance, 0)
        records = [(key, value, None, ()) for key, value in RULES.values()]
        await (await engine.app.send_batch(settings.topics.rules, 0, records))
    async with running(settings) as again:
        await shopping(again, chance, 1_000)
        await again.app.learning.finish()
        metrics = (await look(again)).metrics
        assert metrics['internal_records_refused_total{topic="rules"}'] == len(RULES)


MODELS: dict[str, tuple[bytes | None, bytes | None]] = {
    "text": (b"a/full/0", b"no part"),
    "nothing": (b"a/full/0", b""),
    "a key that is no text": (b"\xff\0", b"OSPT"),
}


async def test_what_is_no_model_is_passed_and_the_last_good_ones_stay(
    tmp_path: Path, seed: int
) -> None:
    chance, settings = random.Random(seed), settings_in(tmp_path)
    async with running(settings) as engine:
        await shopping(engine, chance, 0)
        learned = engine.status().learned
        records = [(key, value, None, ()) for key, value in MODELS.values()]
        await (await engine.app.send_batch(settings.topics.models, 0, records))
        await shopping(engine, chance, 1_000)
        assert engine.status().learned > learned
    async with running(settings) as again:
        await shopping(again, chance, 2_000)
        metrics = (await look(again)).metrics
        assert metrics['internal_records_refused_total{topic="models"}'] >= len(MODELS)


Damage = Callable[[bytes], bytes]


def with_(**fields: Any) -> Damage:
    """A whole record with other fields: those of a part, by its name, or the record's own."""

    def damaged(good: bytes) -> bytes:
        state = decode_state(good)
        parts = {
            name: replace(getattr(state, name), **value) if isinstance(value, dict) else value
            for name, value in fields.items()
        }
        return encode_state(replace(state, **parts))

    return damaged


def head_with(**fields: int) -> Damage:
    """A record whose head says something else, and whose checksum is right."""

    def damaged(good: bytes) -> bytes:
        record = decode_record(good)
        head = np.frombuffer(record, HEAD, 1).copy()
        for name, value in fields.items():
            head[name] = value
        return encode_record(head.tobytes() + record[SIZE:])

    return damaged


def without_its_end(good: bytes) -> bytes:
    """A record that is shorter than its head says, and whose checksum is right."""
    return encode_record(decode_record(good)[:-200])


def bit_by_bit(good: bytes) -> bytes:
    """A record in which one bit is another."""
    return good[:90] + bytes([good[90] ^ 4]) + good[91:]


DAMAGE: dict[str, Damage] = {
    "nothing": lambda good: b"",
    "text": lambda good: b"no record",
    "a version to come": lambda good: b"\x63" + good[1:],
    "cut": lambda good: good[:-9],
    "another shape": lambda good: b"\x01" + pack({"a": 1}),
    "text for numbers": lambda good: b"\x01" + pack([["a"], *[[]] * 7]),
    "a bit": bit_by_bit,
    "no end": without_its_end,
    "no size": head_with(size=0),
    "a size beyond its end": head_with(size=1 << 40),
    "fewer than no touches": head_with(n_recent=-1),
    "more touches than fit": head_with(n_recent=1 << 30),
    "more marks than there are bytes": head_with(n_clicks=5_000),
    "fewer texts than are named": head_with(n_ends=0, n_letters=0),
    "letters of no text": head_with(n_letters=1),
    "items of an offer that is not there": head_with(n_pending=0),
    "a stamp below all": with_(stamps=(-2, -1, -1, -1)),
    "no number": with_(profile={"log_price": math.nan}),
    "an endless price": with_(profile={"log_price": math.inf}),
    "a price beyond all": with_(profile={"log_price": 1e9}),
    "an endless taste": with_(profile={"tastes": (("tea", math.inf),)}),
    "tokens without end": with_(admission={"tokens": math.inf}),
    "fewer than no views": with_(profile={"views": -1}),
    "more views than there can be": with_(profile={"views": 2**53 + 1}),
    "a segment of a million": with_(profile={"segment": 10**6}),
    "a time below 0": with_(permission={"profiling_yes": -1}),
    "an effect of no topic": with_(effects=(Effect(17, 1 << 40, 0, b"x"),)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_a_customer_whose_record_is_damaged_is_not_profiled_until_they_say_yes_anew(
    damage: Damage, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    changelog = settings.customers_changelog
    yes = Consent(profiling=True, offers=True)
    async with running(settings) as engine:
        await engine.publish([publication(a_click(n, f"c{n % 3}", consent=yes)) for n in range(30)])
        await engine.settle()
        good = engine.app.table.read(0, b"c1")
        assert good is not None
        records = [
            (b"c1", damage(good), None, ()),
            (b"\xff\xfe", good, None, ()),
            (ledger_key(0), b"no ledger", None, ()),
            (page_key(0, 0), b"no page", None, ()),
        ]
        await (await engine.app.send_batch(changelog, 0, records))
    async with running(settings) as again:
        seen = await look(again)
        refused = seen.metrics['internal_records_refused_total{topic="changelog"}']
        assert refused == len(records) - is_record(damage(good))
        assert seen.customers.keys() == {"c0", "c1", "c2"}
        assert seen.customers["c1"].permission.profiling is False
        assert seen.customers["c0"].permission.profiling is True
        assert seen.letters == []
        await again.publish([publication(a_click(n, f"c{n % 3}")) for n in range(30, 60)])
        closed = await look(again)
        assert closed.counts["applied"] == 60 and closed.letters == []
        assert closed.customers["c1"].profile.views == 0
        assert closed.customers["c0"].profile.views == 20
        await again.publish([publication(a_click(61, "c1", consent=yes))])
        assert (await look(again)).customers["c1"].profile.views == 1
    states = (await asyncio.to_thread(read_customers, settings)).states
    assert states["c1"].permission.profiling is True


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("words", [{"erase": True}, {"consent": Consent(False, False)}, {}])
async def test_a_stamp_beyond_its_topic_swallows_no_word_and_no_event(
    source: Source, words: dict[str, Any], tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    yes = Consent(profiling=True, offers=True)
    async with running(settings) as engine:
        await engine.publish([publication(a_click(n, "c1", consent=yes)) for n in range(3)])
        await engine.settle()
        good = engine.app.table.read(0, b"c1")
        assert good is not None
        stamps = list(decode_state(good).stamps)
        stamps[source] = 1 << 40
        record = (b"c1", with_(stamps=tuple(stamps))(good), None, ())
        await (await engine.app.send_batch(settings.customers_changelog, 0, [record]))
    async with running(settings, lockstep=True) as again:
        await again.publish([publication(an_update(10, "c1", **words))])
        seen = await look(again)
        state = seen.customers.get("c1")
        if words:
            assert state is None or state.profile.views == 0
            assert state is None or state.permission.profiling is False
        await again.publish([publication(a_click(20, "c1", consent=yes))])
        assert (await look(again)).customers["c1"].profile.views == 1
        assert seen.metrics["state_records_unreadable_total"] > 0


def test_packed_features_are_as_long_as_a_record_takes_them_to_be() -> None:
    assert len(features.pack((0,) * len(features.FEATURES))) == EXPOSURE["features"].itemsize


@pytest.mark.parametrize("behind", [1, 5 * SECOND])
async def test_in_a_busy_partition_a_lost_customer_comes_back_with_the_next_yes(
    behind: int, tmp_path: Path
) -> None:
    """Each yes is behind stream time, and the second is from after the loss was noticed."""
    settings = settings_in(tmp_path)
    yes = Consent(profiling=True, offers=True)
    async with running(settings) as engine:
        await engine.publish([publication(a_click(0, "c1", consent=yes))])
        await engine.settle()
        record = (b"c1", b"no record", None, ())
        await (await engine.app.send_batch(settings.customers_changelog, 0, [record]))
    async with running(settings, lockstep=True) as again:
        for n in range(3):
            now = a_click(100 + 10 * n).time
            said = a_click(n, "c1", event_id=f"yes-{n}", time=now - behind, consent=yes)
            for event in (a_click(100 + 10 * n, "else"), said):
                await again.publish([publication(event)])
                await again.settle()
            state = (await look(again)).customers["c1"]
            assert state.profile.views == n, "closed until the second yes"


@pytest.mark.parametrize(
    "wrong",
    [
        {"stamps": ()},
        {"identities": ()},
        {"late": ((9, 5),)},
        {"due": Ends(-5, -3, -1)},
        {"stream_time": 2**60},
    ],
    ids=str,
)
async def test_a_ledger_or_page_of_the_wrong_shape_leaves_the_one_before_it_in_force(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    async with running(settings, lockstep=True) as engine:
        await engine.publish([publication(a_click(n, f"c{n % 3}")) for n in range(30)])
        await engine.settle()
        good = engine.app.table.read(0, ledger_key(0))
        assert good is not None
        ledger = encode_ledger(decode_ledger(good)._replace(**wrong))
        page = encode_page((Due(1, "c1"),) * 400)
        records = [(ledger_key(0), ledger, None, ()), (page_key(0, 0), page, None, ())]
        await (await engine.app.send_batch(settings.customers_changelog, 0, records))
    async with running(settings, lockstep=True) as again:
        await again.publish([publication(a_click(n, f"c{n % 3}")) for n in range(30, 60)])
        seen = await look(again)
        assert seen.metrics['internal_records_refused_total{topic="changelog"}'] == len(records)
        assert seen.counts["applied"] == 60 and seen.letters == []
        assert seen.counts["late"] == seen.counts["rejected"] == 0
        assert {c: kept.profile.views for c, kept in seen.customers.items()} == dict.fromkeys(
            ("c0", "c1", "c2"), 20
        )


def test_records_without_keys_and_batches_that_rotted_are_told_and_close_whom_they_name() -> None:
    refused: list[int] = []
    good = encode_state(CustomerState())
    why = Rejection(RejectionCode.UNREADABLE, "damaged")
    aside = SetAside(why, 3, None, (b"c2", b"\0ledger-0", b"\xff"))
    fields = ("log", 0, 5, 0, 0, None, b"raw", None, -1, 3, ())
    writes = Restoring(refused.append).writes(
        [
            StoredRecord("log", 0, 1, 0, b"c1", good, ()),
            StoredRecord("log", 0, 2, 0, None, good, ()),
            Unreadable(*fields, aside),
        ]
    )
    assert writes == [(b"c1", good), (b"c2", LOST)]
    assert refused == [2]
