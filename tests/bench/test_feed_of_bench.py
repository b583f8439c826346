"""A system's stream: where each record will be, which offers are due, and what is no result."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bench.contenders.tally import decode, take
from bench.feed import Feed, Place, check
from bench.told import Job
from bench.workload import Shape

SHAPE = Shape(3_000, customers=300, active=100, repeats=20)


def offer(place: Place, **more: Any) -> bytes:
    partition, offset = place
    return orjson.dumps({"source": {"partition": partition, "offset": offset}, **more})


def test_offsets_go_on_from_burst_to_burst_in_each_partition() -> None:
    feed = Feed(SHAPE, "state", 4)
    places = [place for _ in range(3) for place in feed.take(500).places]
    for partition in range(4):
        offsets = [offset for at, offset in places if at == partition]
        assert offsets == list(range(len(offsets)))


def test_bursts_are_the_stream_cut_in_pieces() -> None:
    one, many = Feed(SHAPE, "state", 4), Feed(SHAPE, "state", 4)
    whole = one.take(900).records
    assert [record for _ in range(3) for record in many.take(300).records] == whole


@pytest.mark.parametrize("job", ["state", "whole"])
def test_what_is_told_again_is_due_nothing(job: Job) -> None:
    burst = Feed(SHAPE, job, 4).take(2_000)
    values = dict(zip(burst.places, burst.records, strict=True))
    due = [values[place].value for place in burst.due]
    assert len(due) == len(set(due)) < len(burst.records)


def test_the_state_job_as_others_do_it_comes_to_what_is_due() -> None:
    feed, customers, offers = Feed(SHAPE, "state", 4), dict[bytes, Any](), list[bytes]()
    burst = feed.take(3_000)
    for (key, value), place in zip(burst.records, burst.places, strict=True):
        customers[key], made = take(customers.get(key), decode(value or b""), *place)
        offers += () if made is None else (orjson.dumps(made),)
    check(burst.due, offers)
    assert {key.decode(): one["count"] for key, one in customers.items()} == feed.counts


@pytest.mark.parametrize(
    ("offers", "said"),
    [
        ([offer((0, 1))], "1 offers, of 2"),
        ([offer((0, 1)), offer((0, 1))], "comes twice"),
        ([offer((0, 1)), offer((0, 3))], "should not be"),
        ([offer((0, 1), count=4), offer((0, 2), count=6)], "counts 6 clicks, not 5"),
    ],
)
def test_other_offers_than_those_that_are_due_are_no_result(offers: list[bytes], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check({(0, 1): 4, (0, 2): 5}, offers)


def test_a_stream_that_ends_is_told() -> None:
    with pytest.raises(ValueError, match="the stream ends"):
        Feed(SHAPE, "state", 4).take(4_000)
