"""A replay that was cut off goes on where each partition's last record says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.codec.partition import partition_for
from stream.replay.mapping_file import parse_mapping
from stream.replay.outcome import PublishedRecord
from stream.replay.replay import Replay
from stream.replay.resume import Resume, headers_of, resume_from
from tests.replay.logs import log, replayed

MAPPING = """
catalog = true
columns = {time = "at", customer = "who", item = "sku", type = "what", order = "order"}
time = {format = "epoch_s"}
events.types = {seen = "view", bought = "purchase"}
orders = {lines = "anywhere"}
"""
NAMES = "at,who,what,sku,order\n"


@settings(max_examples=60)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 9),
            st.sampled_from(["ada", "bob", "eve", ""]),
            st.sampled_from(["seen", "bought"]),
            st.sampled_from("abc"),
        ),
        max_size=30,
    ),
    kept=st.randoms(use_true_random=False),
)
def test_what_is_there_and_what_is_added_is_each_record_once(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str, str, str]],
    kept: random.Random,
) -> None:
    """Each partition keeps a prefix of what was sent to it, as a crash leaves it."""
    lines = [f"{at},{who},{what},{sku},{at}\n" for at, who, what, sku in rows]
    records = replayed(log(tmp_path_factory.mktemp("log"), NAMES + "".join(lines)), MAPPING).records
    partitions: dict[tuple[str, int], list[PublishedRecord]] = {}
    for record in records:
        place = record.kind, partition_for(record.key, 2)
        partitions.setdefault(place, []).append(record)
    there = {place: sent[: kept.randint(0, len(sent))] for place, sent in partitions.items()}
    resume = resume_from(
        "5a1f",
        [(*place, headers_of("5a1f", sent[-1]) if sent else ()) for place, sent in there.items()],
    )
    for record in records:
        place = record.kind, partition_for(record.key, 2)
        assert resume.has(record, place[1]) == (record in there[place])


def test_what_is_there_of_another_replay_is_not_taken_for_ours() -> None:
    record = PublishedRecord("clicks", b"ada", b"{}", 0, 7)
    for headers in (
        headers_of("other", record),
        (("offerstream-replay", b"5a1f"),),
        (("offerstream-replay", b"5a1f"), ("offerstream-replay-row", b"seven")),
        (("offerstream-replay-row", b"7"),),
    ):
        assert resume_from("5a1f", [("clicks", 0, headers)]) == Resume({})


def test_another_file_mapping_or_limit_is_another_replay(tmp_path: Path) -> None:
    rows = NAMES + "1,ada,seen,a,\n"
    mapping = parse_mapping(MAPPING, "shop", "shop.toml")
    other = parse_mapping(MAPPING.replace("anywhere", "alone"), "shop", "shop.toml")
    path, longer = log(tmp_path, rows), log(tmp_path, rows + "2,ada,seen,b,\n", "longer.csv")
    replays = [Replay(path, mapping), Replay(longer, mapping), Replay(path, other)]
    ids = [replay.id for replay in [*replays, Replay(path, mapping, 1)]]
    assert len(set(ids)) == len(ids)
    assert Replay(path, mapping).id == ids[0]
