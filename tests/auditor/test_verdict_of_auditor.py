"""The checker agrees with what is right, and notices each fault by its name."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests import waiting
from tests.auditor.books import Books, Place
from tests.auditor.run import ROOT
from tests.auditor.shop import Expected, May, Sent, Shop, Story, Sums
from tests.auditor.verdict import FAULTS, Verdict

SCHEMA = orjson.loads((ROOT / "schemas" / "offers" / "v1.json").read_bytes())
OFFER = orjson.loads((ROOT / "schemas" / "offers" / "v1" / "valid" / "two-items.json").read_bytes())
WAVES, HOUR = 30, 3_600_000
Kept = dict[str, dict[str, Any]]


@dataclass
class Seen:
    """What is to be seen of an offerstream that does all as it should."""

    shop: Shop
    books: Books
    places: dict[Place, Sent]
    offers: list[dict[str, Any]]
    recalls: list[dict[str, Any]]
    letters: list[tuple[dict[str, bytes], bytes | None]]
    late: list[bytes]
    kept: Kept
    account: Counter[str]

    def faults(self) -> dict[str, int]:
        """What the checker makes of it."""
        verdict = Verdict(self.books, "a-", SCHEMA)
        for said in self.recalls + self.offers:
            verdict.take_offer(said.get("key", said["customer_id"]).encode(), orjson.dumps(said))
        for headers, value in self.letters:
            verdict.take_letter(headers, value)
        for value in self.late:
            verdict.take_late(value)
        for one in self.kept.values():
            verdict.take_customer(orjson.dumps(one).decode())
        lines = [f"  {name}: {count}" for name, count in self.account.items()]
        verdict.take_account("\n".join(["250 customers", *lines]))
        found = verdict.concluded()
        assert found.keys() == FAULTS.keys()
        assert {name for name, count in found.items() if count} == verdict.told.keys()
        return {name: count for name, count in found.items() if count}

    def of(self, *stories: Story) -> dict[str, Any]:
        """What is kept of somebody of a story whose permission was taken back, or never given."""
        names = [
            c.name
            for c in self.shop.customers
            if c.story in stories and (c.acted >= 0 or c.story is Story.UNASKED) and c.agreed < 0
        ]
        return self.kept.setdefault(names[0], kept(names[0], Sums()))

    def place(self, may: May) -> tuple[Place, str]:
        """The last record that may cause an offer, or may not; and whose it is."""
        found = [p for p, s in self.places.items() if s.may is may and s.expected is Expected.ANY]
        return found[-1], self.shop.customers[self.places[found[-1]].customer].name

    def offer(self, place: Place, name: str, item: str = "p1") -> None:
        """Make another offer."""
        self.offers.append(an_offer(place, name, self.shop.start, item))
        self.account["offers"] += 1

    def recall(self, offer: dict[str, Any], reason: str, after: int = 0) -> None:
        """Recall an offer, so many ms after it was made."""
        self.recalls.append(a_recall(offer, time_of(offer) + after, reason))
        self.account["recalls"] += 1

    def open_offer(self, story: Story) -> dict[str, Any]:
        """An offer that nobody recalled, to somebody of a story."""
        gone = {recall["offer_id"] for recall in self.recalls}
        names = {c.name for c in self.shop.customers if c.story is story}
        return next(
            o for o in self.offers if o["customer_id"] in names and o["offer_id"] not in gone
        )


def an_offer(place: Place, name: str, issued: int, item: str = "p1") -> dict[str, Any]:
    """An offer caused by a record; it is open for an hour."""
    items = [OFFER["items"][0] | {"product_id": item}]
    told = {"offer_id": id_of(place), "customer_id": name, "items": items}
    times = {"issued_at": written(issued), "expires_at": written(issued + HOUR)}
    return OFFER | told | times | {"source": place._asdict()}


def id_of(place: Place) -> str:
    """The id of the offer that a record causes."""
    return "-".join(map(str, place))


def a_recall(offer: dict[str, Any], time: int, reason: str) -> dict[str, Any]:
    """The recall of an offer."""
    told = {name: offer[name] for name in ("offer_id", "customer_id")}
    return {"schema_version": 1, "recalled": True, **told, "recalled_at": time, "reason": reason}


def written(time: int) -> str:
    """A time in ms as offers have it."""
    return datetime.fromtimestamp(time / 1_000, UTC).isoformat(timespec="milliseconds")


def time_of(offer: dict[str, Any]) -> int:
    """When an offer was made, in ms."""
    return round(datetime.fromisoformat(offer["issued_at"]).timestamp() * 1_000)


def due_recalls(
    shop: Shop, places: dict[Place, Sent], offers: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What must be recalled: by a no, by an erasure, and by a purchase of the item."""
    bought = defaultdict[str, list[int]](list)
    for sent in places.values():
        if sent.topic == "purchases" and sent.expected is Expected.APPLIED:
            event = orjson.loads(sent.value or b"")
            if event["event"] == "purchase" and holds(event, "p1"):
                bought[event["customer_id"]].append(event["timestamp"])
    acted = {one.name: one for one in shop.customers if one.acted >= 0}
    recalls = []
    for offer in offers:
        name, made = offer["customer_id"], time_of(offer)
        later = [time for time in bought[name] if time > made]
        if name in acted and made <= shop.settled(acted[name].acted):
            recalls.append(a_recall(offer, max(made, acted[name].act_time), "withdrawal"))
        elif later:
            recalls.append(a_recall(offer, min(later), "purchase"))
    return recalls


def holds(order: dict[str, Any], item: str) -> bool:
    """Whether an item is in an order."""
    return any(line["product_id"] == item for line in order["products"])


def kept(name: str, sums: Sums) -> dict[str, Any]:
    """A line of ``offerstream customers --json``."""
    rest = {"recent": [{"item_id": "p1"}] * (sums.views > 0), "bought": [], "tastes": {}}
    told = sums._asdict()
    cents = told.pop("cents")
    return {"customer_id": name, **told, "spent": {"EUR": cents} if cents else {}, **rest}


@pytest.fixture
def seen(seed: int) -> Seen:
    shop = Shop(seed, 250, 9_000, WAVES, 1_760_000_000_000, 9_000 * 40)
    books, logs = Books(shop), defaultdict[tuple[str, int], list[Sent]](list)
    for sent in [*shop.preamble(), *(sent for n in range(WAVES) for sent in shop.wave(n))]:
        logs[sent.topic, sent.customer % 3].append(sent)
    places: dict[Place, Sent] = {}
    for (topic, shard), log in logs.items():
        books.enter(Place(topic, shard, 5), log)  # the topic had something else in it before
        places |= {Place(topic, shard, 5 + n): sent for n, sent in enumerate(log)}
    offers = [
        an_offer(
            place,
            shop.customers[sent.customer].name,
            orjson.loads(sent.value or b"")["timestamp"],
        )
        for place, sent in places.items()
        if sent.may is May.YES and place.offset % 7 == 0
    ]
    outcomes = Counter(sent.expected for sent in places.values())
    account = Counter({str(name): count for name, count in outcomes.items()})
    account["applied"] += account.pop("any")
    recalls = due_recalls(shop, places, offers)
    account |= {"offers": len(offers), "recalls": len(recalls)}
    return Seen(
        shop,
        books,
        places,
        offers,
        recalls,
        [letter(p, s.value) for p, s in places.items() if s.expected is Expected.REJECTED],
        [s.value or b"" for s in places.values() if s.expected is Expected.LATE],
        {c.name: kept(c.name, c.sums) for c in shop.customers},
        account,
    )


def letter(place: Place, value: bytes | None) -> tuple[dict[str, bytes], bytes | None]:
    """A dead letter."""
    place = place._replace(topic=f"a-{place.topic}")
    told = {f"offerstream.{k}": str(v).encode() for k, v in place._asdict().items()}
    return told, value


def test_nothing_is_wrong_where_all_is_right_whatever_is_repeated(seen: Seen) -> None:
    assert seen.faults() == {}
    seen.offers += seen.offers[::3]
    seen.recalls += seen.recalls[::3]
    seen.letters += seen.letters[::3]
    seen.late += seen.late[::3]
    assert seen.faults() == {}


def lose_an_event(seen: Seen) -> None:
    of_somebody(seen)["views"] -= 1


def lose_a_customer(seen: Seen) -> None:
    del seen.kept[of_somebody(seen)["customer_id"]]


def count_an_order_twice(seen: Seen) -> None:
    of_somebody(seen)["orders"] += 1


def take_too_much_money(seen: Seen) -> None:
    somebody = of_somebody(seen)
    somebody["spent"] = {"EUR": somebody["spent"].get("EUR", 0) + 5}


def of_somebody(seen: Seen) -> dict[str, Any]:
    name = next(c.name for c in seen.shop.customers if c.story is Story.STEADY)
    return seen.kept[name]


def keep_of_who_withdrew(seen: Seen) -> None:
    seen.of(Story.WITHDRAWN)["views"] = 1


def keep_of_who_never_allowed_it(seen: Seen) -> None:
    seen.of(Story.UNASKED)["bought"] = [{"item_id": "p1"}]


def keep_of_who_was_erased(seen: Seen) -> None:
    seen.of(Story.ERASED)["recent"] = [{"item_id": "p1"}]


def offer_without_permission(seen: Seen) -> None:
    seen.offer(*seen.place(May.NO))


def offer_out_of_turn(seen: Seen) -> None:
    seen.offer(*seen.place(May.OUT_OF_TURN))


def offer_to_another(seen: Seen) -> None:
    seen.offer(seen.place(May.YES)[0]._replace(offset=5), "somebody else")


def offer_for_nothing(seen: Seen) -> None:
    place, name = seen.place(May.YES)
    seen.offer(place._replace(offset=10**9), name)


def offer_for_what_stood_there_before(seen: Seen) -> None:
    place, name = seen.place(May.YES)
    seen.offer(place._replace(offset=2), name)


def change_an_offer(seen: Seen) -> None:
    seen.offers.append(seen.offers[0] | {"discount_percent": 7})


def offer_an_unknown_item(seen: Seen) -> None:
    seen.open_offer(Story.STEADY)["items"][0]["product_id"] = "secret-p1"


def leave_a_field_out(seen: Seen) -> None:
    seen.offers.append({k: v for k, v in seen.offers[0].items() if k != "arm"})


def lose_an_offer(seen: Seen) -> None:
    seen.offers.pop()


def stand_under_another_key(seen: Seen) -> None:
    seen.offers.append(seen.offers[0] | {"key": "somebody else"})


def recall_in_other_words(seen: Seen) -> None:
    recall = seen.recalls[0]
    seen.recalls.append(recall | {"recalled_at": recall["recalled_at"] + 1})


def recall_what_nobody_offered(seen: Seen) -> None:
    seen.recall(seen.offers[0] | {"offer_id": "of nobody"}, "withdrawal")


def recall_from_another(seen: Seen) -> None:
    seen.recalls[0]["customer_id"] = seen.open_offer(Story.STEADY)["customer_id"]


def recall_of_who_withdrew_nothing(seen: Seen) -> None:
    seen.recall(seen.open_offer(Story.STEADY), "withdrawal")


def recall_for_an_item_that_nobody_bought(seen: Seen) -> None:
    offer = seen.open_offer(Story.STEADY)
    offer["items"][0]["product_id"] = bought_by_others(seen, offer["customer_id"])
    seen.recall(offer, "purchase")


def bought_by_others(seen: Seen, name: str) -> str:
    number = next(c.number for c in seen.shop.customers if c.name == name)
    return next(item for item in seen.shop.items if (number, item) not in seen.shop.bought)


def recall_what_is_over(seen: Seen) -> None:
    recall = next(one for one in seen.recalls if one["reason"] == "withdrawal")
    recall["recalled_at"] += HOUR


def forget_to_recall_after_an_erasure(seen: Seen) -> None:
    forget_a_recall(seen, "withdrawal", Story.ERASED)


def forget_to_recall_after_a_no(seen: Seen) -> None:
    forget_a_recall(seen, "withdrawal", Story.QUIETED)


def forget_to_recall_after_a_purchase(seen: Seen) -> None:
    shop, others = seen.shop, {offer["offer_id"] for offer in seen.offers}
    place, number, item = next(
        (place, number, item)
        for (number, item), wave in shop.bought.items()
        if shop.customers[number].story is Story.STEADY and wave > WAVES // 2
        for place, sent in seen.places.items()
        if sent.customer == number and sent.may is May.YES and id_of(place) not in others
    )
    seen.offer(place, shop.customers[number].name, item)


def forget_a_recall(seen: Seen, reason: str, story: Story) -> None:
    names = {c.name for c in seen.shop.customers if c.story is story}
    seen.recalls.remove(
        next(r for r in seen.recalls if r["reason"] == reason and r["customer_id"] in names)
    )
    seen.account["recalls"] -= 1


def lose_a_recall(seen: Seen) -> None:
    seen.account["recalls"] += 1


def lose_a_letter(seen: Seen) -> None:
    seen.letters.pop()


def cut_a_letter(seen: Seen) -> None:
    headers, value = next(one for one in seen.letters if one[1])
    seen.letters.append((headers, (value or b"")[:-1]))


def bury_what_is_fine(seen: Seen) -> None:
    place, _ = seen.place(May.YES)
    seen.letters.append(letter(place, seen.places[place].value))


def lose_a_late_event(seen: Seen) -> None:
    seen.late.pop()


def lose_a_record_of_the_account(seen: Seen) -> None:
    seen.account["applied"] -= 1


def swap_outcomes(seen: Seen) -> None:
    seen.account["rejected"] -= 1
    seen.account["applied"] += 1


NOTICED: list[tuple[Callable[[Seen], None], dict[str, int]]] = [
    (lose_an_event, {"lost": 1}),
    (count_an_order_twice, {"double_counted": 1}),
    (take_too_much_money, {"double_counted": 5}),
    (keep_of_who_withdrew, {"kept_without_permission": 1}),
    (keep_of_who_never_allowed_it, {"kept_without_permission": 1}),
    (keep_of_who_was_erased, {"erased_still_there": 1}),
    (offer_without_permission, {"unpermitted_offers": 1}),
    (offer_out_of_turn, {"overtaking_offers": 1}),
    (offer_to_another, {"causeless_offers": 1}),
    (offer_for_nothing, {"causeless_offers": 1}),
    (offer_for_what_stood_there_before, {"causeless_offers": 1}),
    (change_an_offer, {"conflicting_offers": 1}),
    (offer_an_unknown_item, {"unknown_items": 1}),
    (leave_a_field_out, {"malformed_offers": 1}),
    (stand_under_another_key, {"malformed_offers": 1}),
    (recall_in_other_words, {"conflicting_offers": 1}),
    (recall_what_nobody_offered, {"wrong_recalls": 1}),
    (recall_from_another, {"wrong_recalls": 1}),
    (recall_of_who_withdrew_nothing, {"wrong_recalls": 1}),
    (recall_for_an_item_that_nobody_bought, {"wrong_recalls": 1}),
    (recall_what_is_over, {"wrong_recalls": 1}),
    (forget_to_recall_after_an_erasure, {"missing_recalls": 1}),
    (forget_to_recall_after_a_no, {"missing_recalls": 1}),
    (forget_to_recall_after_a_purchase, {"missing_recalls": 1}),
    (lose_a_recall, {"missing_recalls": 1}),
    (lose_an_offer, {"missing_offers": 1}),
    (lose_a_letter, {"wrong_dead_letters": 1}),
    (cut_a_letter, {"wrong_dead_letters": 1}),
    (bury_what_is_fine, {"wrong_dead_letters": 1}),
    (lose_a_late_event, {"wrong_late": 1}),
    (lose_a_record_of_the_account, {"unaccounted": 1}),
    (swap_outcomes, {"unaccounted": 2}),
]


@pytest.mark.parametrize(
    ("fault", "noticed"), NOTICED, ids=lambda one: getattr(one, "__name__", "")
)
def test_each_fault_is_noticed_by_its_name(
    seen: Seen, fault: Callable[[Seen], None], noticed: dict[str, int]
) -> None:
    fault(seen)
    assert seen.faults() == noticed


def test_a_customer_who_is_missing_is_all_lost(seen: Seen) -> None:
    lose_a_customer(seen)
    assert seen.faults()["lost"] > 5


def test_every_fault_can_be_noticed() -> None:
    assert {name for _, faults in NOTICED for name in faults} == set(FAULTS)


def test_the_checker_imports_nothing_of_what_it_checks() -> None:
    theirs = "{'stream', 'faust', 'mode'}"
    script = (
        "import sys, tests.auditor.__main__\n"
        f"print({{name.partition('.')[0] for name in sys.modules}} & {theirs})"
    )
    done = waiting.run([sys.executable, "-c", script], cwd=ROOT)
    assert done.stdout == "set()\n", done.stderr
