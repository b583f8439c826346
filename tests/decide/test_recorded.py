"""Recorded streams come to what they came to when the decision had an oracle."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.decide.recording import SEEDS, decided_again, differences, read

STREAMS = read()


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_a_recorded_stream_comes_to_the_same_effects_tallies_and_records(number: int) -> None:
    for batch, (was, now) in enumerate(decided_again(STREAMS[number])):
        assert not list(differences(was, now, str(batch)))


def test_the_recording_holds_every_kind_of_outcome() -> None:
    tally = Counter[str]()
    for stream in STREAMS:
        for _, outcome in stream["batches"]:
            tally.update(outcome["tally"])
    assert tally.keys() >= {"applied", "duplicate", "late", "suppressed", "rejected"}
    assert tally.keys() >= {"offers", "heard", "erased", "ignored", "denied:consent"}
    assert "rejected:internal" not in tally


def test_numbers_are_alike_within_the_last_bits_alone() -> None:
    assert not list(differences([1.0], [1.0 + 2e-16]))
    assert list(differences({"a": [1.0, 2]}, {"a": [1.0 + 1e-9, 2]}))
    assert list(differences([1], [1.0]))
    assert list(differences([1], [1, 2]))
