"""Whoever reads the models' topic, from wherever, comes to the same state."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from stream.codec.snapshots import models
from stream.codec.snapshots.models import Assembler, Collector, Published, Publisher, Reader
from stream.codec.snapshots.parts import PartError, split
from stream.learn.learner import LOG

Records = list[tuple[bytes, bytes]]


def published(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Records], list[dict[str, dict[str, Any]]]]:
    """Some publications with a full one now and then, and the state after each."""
    monkeypatch.setattr(models, "CHANGES", 5)
    draw, publisher = random.Random(seed), Publisher()
    state: dict[str, Any] = {"w": np.zeros(20), "names": ["a"] * 20}
    topic, states = [], []
    for n in range(40):
        state = {"w": state["w"].copy(), "names": list(state["names"])}
        state["w"][draw.randrange(20)] += 1.0
        if draw.random() < 0.5:
            state["w"] = np.append(state["w"], n)
            state["names"].append(f"n{n}")
        kinds = {"model": state}
        topic.append(publisher.publish(kinds, {"0/0": n // 3 * 10, LOG: n}, n))
        states.append(kinds)
        if draw.random() < 0.6:
            publisher.write_full()
    return topic, states


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(a[kind][name], b[kind][name]) for kind in a for name in a[kind]
    )


def test_who_follows_is_at_every_publication_and_reads_one_full_snapshot_only(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, states = published(seed, monkeypatch)
    assembler, collector, reader, full = Assembler(), Collector(), Reader(), 0
    for records, state in zip(topic, states, strict=True):
        for key, value in records:
            assembler.take(key, value)
            parcel = collector.take(key, value)
            full += parcel is not None and isinstance(reader.read(parcel), Published)
        assert assembler.current is not None
        assert same(assembler.current.states, state)
    assert full == 1
    assert sum(key.endswith(b"full/0") for records in topic for key, _ in records) > 2


def test_who_comes_later_knows_all_from_the_next_full_snapshot_on(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, states = published(seed, monkeypatch)
    for start in range(len(topic) - 15):
        late, known = Assembler(), False
        for records, state in zip(topic[start:], states[start:], strict=True):
            for key, value in records:
                late.take(key, value)
                known = known or b"full" in key
            assert known == (late.current is not None)
            if late.current is not None:
                assert same(late.current.states, state)
        assert known
        assert late.refused == 0


def test_what_compaction_leaves_is_enough(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    topic, states = published(seed, monkeypatch)
    last: dict[bytes, tuple[int, bytes]] = {}
    for at, (key, value) in enumerate(pair for records in topic for pair in records):
        last[key] = at, value
    reader = Assembler()
    for _, key, value in sorted((at, key, value) for key, (at, value) in last.items()):
        reader.take(key, value)
    assert reader.current is not None
    assert same(reader.current.states, states[-1])


@pytest.mark.parametrize("harm", ["cut", "flipped", "forged"])
def test_what_is_damaged_is_refused_and_the_last_good_state_kept(harm: str, seed: int) -> None:
    draw, publisher, reader = random.Random(seed), Publisher(), Assembler()
    for key, value in publisher.publish({"model": {"w": np.zeros(9)}}, {"0/0": 1}, 1):
        reader.take(key, value)
    ((key, value),) = publisher.publish({"model": {"w": np.ones(9)}}, {"0/0": 2}, 2)
    if harm == "cut":
        value = value[: draw.randrange(len(value))]
    elif harm == "flipped":
        at = draw.randrange(len(value))
        value = value[:at] + bytes([value[at] ^ 1 << draw.randrange(8)]) + value[at + 1 :]
    else:
        other = Publisher()
        other.publish({"model": {"w": np.zeros(3)}}, {"0/0": 1}, 1)
        ((key, value),) = other.publish({"model": {"w": np.arange(3.0)[::-1] - 7}}, {"0/0": 2}, 2)
    assert not reader.take(key, value) or harm == "forged"
    assert reader.current is not None
    if harm != "forged":
        assert reader.refused == 1
        assert reader.current.learned == 1


def test_a_change_that_is_missing_is_told_once_and_mended_by_the_next_full_snapshot(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, states = published(seed, monkeypatch)
    assembler = Assembler()
    lost = next(n for n in range(3, 30) if all(b"full" not in key for key, _ in topic[n]))
    refused = list[int]()
    for n, records in enumerate(topic):
        for key, value in records if n != lost else ():
            assembler.take(key, value)
        refused.append(assembler.refused)
    assert refused[lost] == 0 and refused[lost + 1] == refused[-1] == 1
    assert assembler.current is not None and same(assembler.current.states, states[-1])


def test_parts_that_are_more_than_their_whole_are_refused_and_not_kept() -> None:
    collector = Collector()
    many = split(bytes(10_000), 1_040)
    rests = [struct.pack("<IIQ16s", n, 10**6, 5_000, b"d" * 16) + bytes(1_000) for n in range(10)]
    sealed = [b"OSPT" + struct.pack("<I", zlib.crc32(rest)) + rest for rest in rests]
    with pytest.raises(PartError, match="more than the whole"):
        for one in sealed:
            collector.take(b"a/full/0", one)
    parcels = [collector.take(b"a/full/0", part) for part in many]
    assert parcels[:-1] == [None] * (len(many) - 1) and parcels[-1] is not None
