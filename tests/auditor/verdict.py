"""What differs between the checker's books and what an outsider sees of offerstream.

Each fault is counted under its name in :data:`FAULTS`, and the first few are told in words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import jsonschema_rs
import orjson

from tests.auditor.books import OUTCOMES, UNKNOWN, Books, Place
from tests.auditor.shop import ALWAYS_PROFILED, ERASES, SETTLED, Customer, May, Story, Sums

FAULTS: Final = {
    "lost": "events, units or money that customers' records lack",
    "double_counted": "events, units or money that they have too much",
    "kept_without_permission": "customers of whom something is kept that they do not allow",
    "erased_still_there": "erased customers of whom something is kept",
    "unpermitted_offers": "offers that their customers' permission did not cover",
    "overtaking_offers": "offers for what happened after a withdrawal that was sent before it",
    "causeless_offers": "offers whose source is no record of their customer's",
    "conflicting_offers": "offers' ids with two contents, or with two recalls",
    "unknown_items": "offers of items that the shop does not know, or only from who is unprofiled",
    "malformed_offers": "offers and recalls that break their schema, or stand under another's key",
    "missing_offers": "offers that were counted and are not in the topic, or the other way round",
    "wrong_recalls": "recalls of what nobody offered, of what was not open, or for no reason",
    "missing_recalls": "open offers that stayed so, or recalls that were counted and are not there",
    "wrong_dead_letters": "refused records without their dead letter, or letters of others",
    "wrong_late": "late events that are not in the topic, or others that are",
    "unaccounted": "records that the account has too many or too few of",
}
SHOWN: Final = 5  # faults of a kind that are told in words


class Made(NamedTuple):
    """An offer that was seen: whose, of what, and when it was open, in ms."""

    customer: int
    items: tuple[str, ...]
    issued: int
    expires: int


class Recalled(NamedTuple):
    """A recall that was seen, its time in ms."""

    customer: str
    time: int
    reason: str


class Verdict:
    """Takes what is seen, piece by piece, and judges it.

    Parameters
    ----------
    books
        What was sent.
    prefix
        What the topics' names begin with.
    schema
        The offers' JSON Schema.
    withheld
        How many offers may be counted and not there: they were on their way when their customer
        was erased, and the worker that was to send them was killed.
    """

    def __init__(
        self, books: Books, prefix: str, schema: Mapping[str, Any], withheld: int = 0
    ) -> None:
        self._withheld = withheld
        self._books, self._prefix = books, prefix
        self._valid = jsonschema_rs.validator_for(dict(schema))
        self._items = set(books.shop.items)
        self._offers: dict[str, bytes] = {}
        self._made: dict[str, Made] = {}
        self._recalls: dict[str, Recalled] = {}
        self._letters: set[Place] = set()
        self._late: set[bytes] = set()
        self._kept: dict[str, Mapping[str, Any]] = {}
        self._account: Counter[str] = Counter()
        self.faults: Counter[str] = Counter(dict.fromkeys(FAULTS, 0))
        self.told: defaultdict[str, list[str]] = defaultdict(list)
        self.repeated_offers = 0

    def _fault(self, name: str, words: str, count: int = 1) -> None:
        self.faults[name] += count
        if len(self.told[name]) < SHOWN:
            self.told[name].append(words)

    # ------------------------------------------------------------------------------- what is seen

    def take_offer(self, key: bytes | None, value: bytes | None) -> None:
        """See a record of the topic of offers: an offer, or its recall."""
        try:
            said = orjson.loads(value or b"")
            error = next(iter(self._valid.iter_errors(said)), None)
        except ValueError as invalid:
            said, error = None, invalid
        if error is None and said["customer_id"].encode() != key:
            error = ValueError(f"the key is {key!r}")
        if error is not None:
            self._fault("malformed_offers", f"{(value or b'')[:200]!r}: {error}")
        elif "recalled" in said:
            self._take_recall(said)
        else:
            self._take_offer(said, value or b"")

    def _take_recall(self, said: Mapping[str, Any]) -> None:
        recall = Recalled(said["customer_id"], said["recalled_at"], said["reason"])
        if self._recalls.setdefault(said["offer_id"], recall) != recall:
            self._fault("conflicting_offers", f"{said['offer_id']} is recalled twice: {recall}")

    def _take_offer(self, offer: Mapping[str, Any], value: bytes) -> None:
        digest = blake2b(value, digest_size=8).digest()
        if known := self._offers.get(offer["offer_id"]):
            self.repeated_offers += 1
            if known != digest:
                self._fault("conflicting_offers", f"{offer['offer_id']} in other words: {value!r}")
            return
        self._offers[offer["offer_id"]] = digest
        self._judge(offer)

    def _judge(self, offer: Mapping[str, Any]) -> None:
        source, told = offer["source"], offer["offer_id"]
        place = Place(source["topic"], source["partition"], source["offset"])
        number, may = self._books.cause(place)
        customers = self._books.shop.customers
        one = None if number == UNKNOWN else customers[number]
        if one is None or one.name != offer["customer_id"]:
            owner = "nobody" if one is None else one.name
            self._fault(
                "causeless_offers", f"{told} to {offer['customer_id']}: {place} is {owner}'s"
            )
        elif may is not May.YES:
            name = "unpermitted_offers" if may is May.NO else "overtaking_offers"
            self._fault(name, f"{told} for {place}, to {described(one)}")
        else:
            self._made[told] = made_of(offer, number)
        if unknown := [
            i["product_id"] for i in offer["items"] if i["product_id"] not in self._items
        ]:
            self._fault("unknown_items", f"{told}: {', '.join(unknown)}")

    def take_letter(self, headers: Mapping[str, bytes], value: bytes | None) -> None:
        """See a dead letter."""
        topic, partition, offset = (
            headers.get(f"offerstream.{name}", b"").decode()
            for name in ("topic", "partition", "offset")
        )
        place = Place(topic.removeprefix(self._prefix), int(partition), int(offset))
        if place in self._books.garbage and self._books.garbage[place] == value:
            self._letters.add(place)
        else:
            self._fault("wrong_dead_letters", f"of {place}, which was fine: {value!r}")

    def take_late(self, value: bytes | None) -> None:
        """See a record of the topic of late events."""
        self._late.add(value or b"")

    def take_customer(self, line: str) -> None:
        """See a line of ``offerstream customers --json``."""
        kept = orjson.loads(line)
        self._kept[kept["customer_id"]] = kept

    def take_account(self, text: str) -> None:
        """See what ``offerstream customers`` says."""
        for line in text.splitlines():
            name, _, count = line.strip().rpartition(": ")
            if count.isdecimal():
                self._account[name] += int(count)

    # ------------------------------------------------------------------------------ what it means

    def concluded(self) -> Counter[str]:
        """All faults, now that everything was seen."""
        for one in self._books.shop.customers:
            self._compare(one, self._kept.pop(one.name, {}))
        for name in self._kept:
            self._fault("double_counted", f"{name} is nobody's customer")
        missing = self._books.garbage.keys() - self._letters
        for place in sorted(missing):
            self._fault("wrong_dead_letters", f"of {place} is missing")
        for value in sorted(self._books.late - self._late):
            self._fault("wrong_late", f"missing: {value!r}")
        if others := len(self._late) - len(self._late & self._books.late):
            self._judge_other_late(others)
        self._balance()
        self._judge_recalls()
        return self.faults

    def _judge_other_late(self, others: int) -> None:
        """Beside those that must be late, withdrawals and what they leave may be; no more."""
        least, most = self._books.bounds("late")
        if others > most - least:
            self._fault("wrong_late", f"{others} that are not late", others - most + least)

    def _compare(self, one: Customer, kept: Mapping[str, Any]) -> None:
        found, due = sums_of(kept), one.sums
        if not one.did and one.story not in ALWAYS_PROFILED:
            if found != due or remembers(kept):
                erased = one.story in ERASES and one.acted >= 0
                name = "erased_still_there" if erased else "kept_without_permission"
                self._fault(name, f"{described(one)}: {dict(kept)}")
            return
        differences = [have - want for have, want in zip(found, due, strict=True)]
        words = f"{described(one)}: kept {found}, due {due}"
        if less := -sum(n for n in differences if n < 0):
            self._fault("lost", words, less)
        if more := sum(n for n in differences if n > 0):
            self._fault("double_counted", words, more)

    def _balance(self) -> None:
        account, records = self._account, self._books.records
        if off := sum(account[name] for name in OUTCOMES) - records:
            self._fault("unaccounted", f"{dict(account)} for {records} records", abs(off))
        for name in OUTCOMES:
            least, most = self._books.bounds(name)
            if off := max(least - account[name], account[name] - most, 0):
                self._fault("unaccounted", f"{name}: {account[name]}, due {least} to {most}", off)
        off = account["offers"] - len(self._offers)
        if not 0 <= off <= self._withheld:
            words = f"{account['offers']} counted, {len(self._offers)} seen"
            self._fault("missing_offers", words, abs(off))

    def _judge_recalls(self) -> None:
        """What was to be recalled was, with its reason, and nothing else."""
        short = self._account["offers"] - len(self._offers)
        for offer_id, recall in self._recalls.items():
            made = self._made.get(offer_id)
            if made is None and offer_id in self._offers:
                continue  # what is wrong is the offer
            if made is None and short > 0:
                short -= 1  # its offer was withheld
            elif made is None or not self._has_reason(made, recall):
                self._fault("wrong_recalls", f"{recall} of {made}, {offer_id}")
        if off := self._account["recalls"] - len(self._recalls):
            words = f"{self._account['recalls']} recalls counted, {len(self._recalls)} seen"
            self._fault("missing_recalls", words, abs(off))
        for offer_id, made in self._made.items():
            one = self._books.shop.customers[made.customer]
            if offer_id not in self._recalls and self._is_due(made, one):
                self._fault("missing_recalls", f"{described(one)}: {offer_id}, {made}")

    def _has_reason(self, made: Made, recall: Recalled) -> bool:
        one = self._books.shop.customers[made.customer]
        if recall.customer != one.name or not made.issued <= recall.time < made.expires:
            return False
        if recall.reason == "purchase":
            bought = self._books.shop.bought
            return any((made.customer, item) in bought for item in made.items)
        return recall.reason == "withdrawal" and one.acted >= 0

    def _is_due(self, made: Made, one: Customer) -> bool:
        """Whether an offer was surely open when its customer withdrew, or bought what it holds."""
        shop = self._books.shop
        if one.acted >= 0 and made.issued <= shop.settled(one.acted) < made.expires:
            return True
        if one.story is not Story.STEADY:
            return False
        waves = [shop.bought.get((made.customer, item), 0) for item in made.items]
        return any(
            made.issued <= shop.ends[wave - SETTLED] and shop.settled(wave) < made.expires
            for wave in waves
            if wave >= SETTLED
        )

    @property
    def offers(self) -> int:
        """How many different offers were seen."""
        return len(self._offers)

    @property
    def recalls(self) -> int:
        """How many offers were seen to be recalled."""
        return len(self._recalls)


def made_of(offer: Mapping[str, Any], customer: int) -> Made:
    """An offer, of the customer with a number."""
    items = tuple([item["product_id"] for item in offer["items"]])
    issued, expires = (
        round(datetime.fromisoformat(offer[name]).timestamp() * 1_000)
        for name in ("issued_at", "expires_at")
    )
    return Made(customer, items, issued, expires)


def described(one: Customer) -> str:
    """A customer's story in words."""
    way = f" {one.way} in wave {one.acted}" if one.acted >= 0 else ""
    again = f", back in wave {one.agreed}" if one.agreed >= 0 else ""
    return f"{one.name} ({one.story}{way}{again})"


def sums_of(kept: Mapping[str, Any]) -> Sums:
    """The sums in a line of ``offerstream customers --json``."""
    if not kept:
        return Sums()
    numbers = {name: kept[name] for name in ("views", "carts", "orders", "refunds", "units")}
    return Sums(**numbers, cents=kept["spent"].get("EUR", 0))


def remembers(kept: Mapping[str, Any]) -> bool:
    """Whether a record holds anything that a customer did."""
    return any(kept.get(name) for name in ("recent", "bought", "tastes", "spent"))
