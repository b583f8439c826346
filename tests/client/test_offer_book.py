"""The book of open offers: what a naive one says, in bounded memory, whatever comes."""

from __future__ import annotations

import random

import orjson
import pytest

from stream.client.book import OVERHEAD, Limits, OfferBook, Taken
from tests.builders import HOUR, NOON
from tests.client.serving_offers import a_recall, an_offer


def ids(book: OfferBook, customer: str = "c1", now: int = NOON) -> list[str]:
    return [offer.offer_id for offer in book.offers(customer, now)]


def test_it_says_what_a_naive_book_says(seed: int) -> None:
    chance, book = random.Random(seed), OfferBook()
    made: dict[tuple[str, str], tuple[int, int]] = {}
    recalled: set[tuple[str, str]] = set()
    now = NOON
    for _ in range(4_000):
        now += chance.randrange(60_000)
        customer, offer_id = f"c{chance.randrange(8)}", f"of{chance.randrange(400)}"
        name = customer, offer_id
        if chance.random() < 0.25:
            book.take(*a_recall(offer_id, customer, now), now)
            recalled.add(name)
        else:
            # the same id always has the same bytes
            issued, lives = made.setdefault(name, (now, chance.randrange(1, 4 * HOUR)))
            book.take(*an_offer(offer_id, customer, issued, lives), now)
        open_now = {
            of: issued for (c, of), (issued, lives) in made.items()
            if c == customer and issued + lives > now and (c, of) not in recalled
        }  # fmt: skip
        newest = sorted(open_now, key=open_now.__getitem__, reverse=True)[:16]
        found = ids(book, customer, now)
        assert set(found) <= set(open_now)
        assert len(found) == min(16, len(open_now)) or book.counts["evicted"]
        assert [open_now[of] for of in found] == sorted(
            (open_now[of] for of in found), reverse=True
        )
        if not book.counts["evicted"]:
            assert set(found) == set(newest)
    assert book.counts[Taken.RECALLED] > 100
    assert book.counts[Taken.DUPLICATE] > 100
    assert book.counts[Taken.UNREADABLE] == 0


def test_an_offer_that_is_said_again_after_its_recall_stays_recalled() -> None:
    book = OfferBook()
    offer, recall = an_offer("of1"), a_recall("of1")
    assert [book.take(*r, NOON) for r in (offer, recall, offer, recall)] == [
        Taken.OPENED, Taken.RECALLED, Taken.DUPLICATE, Taken.DUPLICATE,
    ]  # fmt: skip
    assert ids(book) == []


def test_a_recall_that_comes_before_its_offer_counts() -> None:
    book = OfferBook()
    book.take(*a_recall("of1"), NOON)
    assert book.take(*an_offer("of1"), NOON) is Taken.DUPLICATE
    assert ids(book) == []


def test_an_offer_ends_at_the_millisecond() -> None:
    book = OfferBook()
    book.take(*an_offer("of1"), NOON)
    assert ids(book, now=NOON + HOUR - 1) == ["of1"]
    assert ids(book, now=NOON + HOUR) == []
    assert book.take(*an_offer("of1"), NOON + HOUR) is Taken.EXPIRED


@pytest.mark.parametrize(
    "limits", [Limits(customers=50), Limits(size=50 * (OVERHEAD + 700)), Limits(offers=2)], ids=str
)
def test_memory_is_bounded_and_what_goes_is_counted(limits: Limits) -> None:
    book = OfferBook(limits)
    for n in range(5_000):
        customer = f"c{n % 20 if limits.offers == 2 else n}"
        book.take(*an_offer(f"of{n}", customer, lives=100 * HOUR), NOON)
    assert len(book) <= 60
    assert len(book) + book.counts["evicted"] == 5_000
    assert len(book._ends) < 2_000
    assert ids(book, "c19" if limits.offers == 2 else "c4999") != []


def test_of_a_customers_many_offers_the_recalls_go_last() -> None:
    book = OfferBook(Limits(offers=2))
    recalled = an_offer("first", lives=1_000)
    book.take(*recalled, NOON)
    book.take(*a_recall("first"), NOON)
    for n in range(10):
        book.take(*an_offer(f"of{n}"), NOON)
    assert book.take(*recalled, NOON) is Taken.DUPLICATE


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"{", b"[]", b"\xff\xfe", b"1", b'{"recalled": true}', b'{"recalled": "yes"}',
        b"[" * 100_000, b'{"offer_id": "of1", "customer_id": "c1"}',
        an_offer("of1")[1].replace(b'"schema_version":1', b'"schema_version":2'),
        an_offer("of1")[1].replace(b'"expires_at":"2023', b'"expires_at":"20x3'),
        an_offer("of1")[1].replace(b"Z", b""),
        an_offer("of1", "c2")[1],
        a_recall("of1", "c2")[1],
        a_recall("of1")[1].replace(b'"schema_version":1', b'"schema_version":2'),
        orjson.dumps({**orjson.loads(an_offer("of1")[1]), "items": [{}]}),
    ],
)  # fmt: skip
def test_what_is_no_offer_is_counted_and_harms_none(value: bytes | None) -> None:
    book = OfferBook()
    book.take(*an_offer("of0"), NOON)
    assert book.take(b"c1", value, NOON) is Taken.UNREADABLE
    assert book.take(None, value, NOON) is Taken.UNREADABLE
    assert ids(book) == ["of0"]


def test_fields_of_a_later_release_are_passed_over() -> None:
    document = orjson.loads(an_offer("of1")[1])
    document["surprise"] = {"deep": [1]}
    document["items"][0]["rating"] = 5
    book = OfferBook()
    assert book.take(b"c1", orjson.dumps(document), NOON) is Taken.OPENED
    assert book.offers("c1", NOON)[0].items[0].name == "Washer"
