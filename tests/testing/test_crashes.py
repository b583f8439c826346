"""The driver's crashes: whatever is killed at any write, a restart makes good."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stream.testing import Driver
from stream.testing.driver import START
from stream.testing.image import copy_log

CAMPAIGNS = [
    {"campaign_id": "spring", "name": "Spring", "discount_percent": 10},
    {"campaign_id": "basket", "name": "Basket", "strategy": {"reminder": {"after": "2h"}}},
]
GOODS = [{"product_id": f"p{n}", "price": 5, "added_at": "2026-01-01T00:00:00Z"} for n in range(6)]
EVENING = START + timedelta(hours=6)


class Lived(NamedTuple):
    """What came of a day in a shop; of ``crashes``, how many, nobody is to notice anything."""

    offers: list[bytes]
    recalls: list[str]
    customers: list[dict[str, Any] | None]
    counts: Counter[str]
    crashes: int


def a_day(chance: random.Random | None) -> Lived:
    """Anna and Bert come, he buys, she is reminded, both come again; crashes by chance."""
    crashes = 0

    def revived(shop: Driver) -> None:
        nonlocal crashes
        while not shop.is_running:
            crashes += 1
            shop.restart()
        if chance is not None:
            shop.crash(after=chance.randint(1, 9))

    with Driver(campaigns=CAMPAIGNS, catalog=GOODS) as shop:
        revived(shop)
        for act, *words in (
            (shop.consent, "anna"), (shop.view, "anna", "p1"), (shop.consent, "bert"),
            (shop.view, "anna", "p2", "add_to_cart"), (shop.view, "bert", "p1"),
            (shop.buy, "bert", "p2"), (shop.publish, "clicks", b"{"),
        ):  # fmt: skip
            act(*words)  # type: ignore[operator]
            revived(shop)
        while shop.now < EVENING:
            shop.advance(to=EVENING)
            revived(shop)
        for name in ("anna", "bert"):
            shop.view(name, "p3")
            revived(shop)
        assert [one.code for one in shop.refusals()] == ["decode"]
        return Lived(
            [offer.raw for offer in shop.offers()],
            [recall.offer_id for recall in shop.recalls()],
            [shop.customer(name) for name in ("anna", "bert")],
            shop.counts() - Counter(applied=len(shop.read("customers"))),
            crashes,
        )


def test_crashes_at_any_write_change_no_offer_and_no_customer(seed: int) -> None:
    calm, chance = a_day(None), random.Random(seed)
    assert (len(calm.offers), len(calm.recalls), calm.crashes) == (6, 1, 0)
    shaken = [a_day(chance) for _ in range(2)]
    for lived in shaken:
        assert lived[:4] == calm[:4]
        assert lived.crashes >= 3


def test_what_is_published_is_kept_though_the_worker_dies_at_once() -> None:
    with Driver(campaigns=CAMPAIGNS, catalog=GOODS) as shop:
        shop.consent("anna")
        shop.crash(after=1)
        assert shop.view("anna", "p1") == Counter()  # nobody is there to tell
        assert not shop.is_running
        with pytest.raises(RuntimeError, match=r"down after a crash: call restart\(\) first"):
            shop.view("anna", "p2")
        shop.restart()
        (offer,) = shop.offers()
        assert offer.customer_id == "anna"
        shop.crash()
        shop.restart()
        assert shop.offers() == []
        assert shop.open_offers("anna") == [offer]


def test_nothing_is_flushed_by_a_crash_and_all_by_an_orderly_end(tmp_path: Path) -> None:
    """The commit of offsets, which a worker makes each second and at its end, tells."""
    with Driver({"worker.commit_interval": 3_600}, directory=tmp_path) as shop:
        shop.view("anna", "p1")
        shop.crash()
        shop.restart()
        log = shop._log
        assert not log.committed(shop.settings.app_id, "clicks", 0)
        shop.restart()
        assert shop._log.committed(shop.settings.app_id, "clicks", 0) == 1
        assert shop.counts()["applied"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "state"]


def test_a_copy_is_of_one_moment_or_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "log", tmp_path / "copy"
    source.mkdir()
    (source / "lock").touch()
    (source / "old").write_bytes(b"12")
    copies = []

    def copytree(*_: object, **__: object) -> None:
        copies.append(1)
        target.mkdir()
        (target / "half").touch()
        if len(copies) == 1:
            (source / "old").rename(source / "new")  # as compaction does
        if len(copies) == 2:
            raise FileNotFoundError

    monkeypatch.setattr("stream.testing.image.shutil.copytree", copytree)
    copy_log(source, target)
    assert len(copies) == 3
