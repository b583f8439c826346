"""The queue of due labels, and what becomes of customers who do not come back."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from stream.codec.customers import decode_page, encode_page
from stream.codec.examples import decode_examples
from stream.decide.example import Labelled
from stream.decide.ledger import EXAMPLES, Entry
from stream.decide.rows.due import PAGE, Due, DueQueue, Ends, Page
from stream.decide.world import Models, World
from stream.domain.event import Event, Source
from tests.builders import DAY, HOUR, NOON, a_click, a_purchase, a_world, an_update
from tests.tableless import Tableless

puts_and_takes = st.lists(st.lists(st.integers(-PAGE, PAGE)), max_size=20)


@given(puts_and_takes)
def test_a_queue_gives_what_was_put_in_order_however_it_is_cut_into_batches(
    batches: list[list[int]],
) -> None:
    """Positive numbers put so many entries, negative ones take so many."""
    ends, kept, plain, number = Ends(), dict[int, Page](), deque[Due](), 0
    for batch in batches:
        queue = DueQueue(ends, kept.get)
        for step in batch:
            for _ in range(step):
                number += 1
                plain.append(Due(number, f"c{number}"))
                queue.put(plain[-1])
            for _ in range(-step):
                assert queue.take(number) == (plain.popleft() if plain else None)
        ends = queue.ends
        for at, page in queue.changed.items():
            kept[at] = decode_page(encode_page(page))
            if not page:
                del kept[at]
    assert len(kept) <= len(plain) // PAGE + 2


class Sorted:
    """A segmenter that puts everybody into the third segment."""

    def assign(self, vector: Sequence[float]) -> int:
        return 3


class Shop(Tableless):
    """A partition that takes events, and what its customers' exposures were labelled."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.at = [0] * len(Source)

    def take(self, *events: Event, source: Source = Source.CLICKS) -> None:
        first = self.at[source]
        self.at[source] += len(events)
        self.decide([Entry(source, at, event) for at, event in enumerate(events, first)])

    @property
    def labels(self) -> list[Labelled]:
        """Of all batches so far."""
        taught = [
            one for e in self.effects if e.kind == EXAMPLES for one in decode_examples(e.payload)
        ]
        return [one for one in taught if isinstance(one, Labelled)]


def late_clicks(days: float, count: int = 3) -> list[Event]:
    """Clicks of somebody else, so many days later."""
    first, time = round(days * 1000), NOON + round(days * DAY)
    return [a_click(first + n, "other", "i9", time=time + n) for n in range(count)]


def waiting(shop: Shop, customer: str = "gone") -> list[int]:
    """When the looks were that still wait for a purchase."""
    state = shop.states[customer]
    assert state is not None
    return [exposure.time for exposure in state.waiting.exposures]


def test_a_look_is_told_at_once_and_dropped_once_though_the_customer_never_comes_back() -> None:
    shop = Shop(a_world())
    shop.take(a_click(0, "gone", "i1"), a_click(1, "gone", "i2"))
    before = shop.states["gone"]
    assert before is not None
    exposures = before.waiting.exposures
    found = [(one.time, one.label, one.features, one.waited) for one in shop.labels]
    assert found == [(one.time, 0, one.features, 0) for one in exposures]
    shop.take(*late_clicks(1.9))
    assert waiting(shop) == [one.time for one in exposures]
    shop.take(*late_clicks(2.3))
    shop.take(*late_clicks(2.4))
    assert [one.time for one in shop.labels if one.time < NOON + DAY] == [
        one.time for one in exposures
    ]
    after = shop.states["gone"]
    assert after is not None
    assert (after.waiting.exposures, after.waiting.due) == ((), 0)


def test_what_did_not_wait_long_enough_is_looked_at_again() -> None:
    shop = Shop(a_world())
    shop.take(a_click(0, "gone", "i1"), a_click(1, "gone", "i2", time=NOON + DAY))
    shop.take(*late_clicks(2.4))
    assert waiting(shop) == [NOON + DAY]
    shop.take(*late_clicks(3.4))
    assert waiting(shop) == []


def test_a_purchase_is_told_with_what_was_waited_for_it() -> None:
    shop = Shop(a_world())
    shop.take(a_click(0, "gone", "i1"))
    shop.take(a_purchase(1, "gone", "i1", time=NOON + HOUR), source=Source.PURCHASES)
    shop.take(*late_clicks(2.4), *late_clicks(4.0))
    told = [(one.label, one.time, one.waited) for one in shop.labels if one.time <= NOON + HOUR]
    assert told == [(0, NOON, 0), (1, NOON + HOUR, HOUR)]
    first, second = (one.features for one in shop.labels if one.time <= NOON + HOUR)
    assert first == second


def test_both_labels_of_a_look_name_the_segment_of_then() -> None:
    shop = Shop(a_world())
    shop.take(a_click(0, "gone", "i1"))
    shop.world = a_world()._replace(models=Models(segments=Sorted()))
    shop.take(a_click(1, "gone", "i2", time=NOON + 2 * HOUR))
    shop.take(a_click(2, "gone", "i3", time=NOON + 2 * HOUR + 1))
    bought = ("i1", "i2", "i3")
    shop.take(a_purchase(3, "gone", *bought, time=NOON + 3 * HOUR), source=Source.PURCHASES)
    told = {(one.features, one.label): one.segment for one in shop.labels}
    looks = [features for features, label in told if not label]
    assert [told[look, 0] for look in looks] == [told[look, 1] for look in looks]
    assert {told[look, 0] for look in looks} >= {None, 3}


def test_who_was_erased_is_not_looked_at() -> None:
    shop = Shop(a_world())
    shop.take(a_click(0, "gone", "i1"))
    shop.take(an_update(1, "gone", erase=True), source=Source.CUSTOMERS)
    shop.take(*late_clicks(2.4))
    assert [one.time for one in shop.labels if one.time < NOON + DAY] == [NOON]
    assert shop.states["gone"] is None


def test_a_worker_that_teaches_nobody_leaves_the_queue_to_one_that_does() -> None:
    shop = Shop(a_world())
    shop.take(a_click(0, "gone", "i1"))
    shop.world = World(settings=shop.world.settings, learning=False)
    shop.take(*late_clicks(2.4))
    assert waiting(shop) == [NOON]
    shop.world = a_world()
    shop.take(*late_clicks(2.5))
    assert waiting(shop) == []


def test_each_customer_has_one_entry_and_the_queue_does_not_grow() -> None:
    """Customers who come back each day, and buy: entries are taken as fast as they are put."""
    shop = Shop(a_world())
    for day in range(40):
        for n in range(50):
            number, time = day * 50 + n, NOON + day * DAY + n
            shop.take(a_click(number, f"c{n}", f"i{day % 3}", time=time))
            bought = a_purchase(number, f"c{n}", f"i{day % 3}", time=time)
            shop.take(bought, source=Source.PURCHASES)
    first, taken, last = shop.ledger.due
    held = sum(len(page) for at, page in shop.pages.items() if first <= at <= last) - taken
    assert held <= 50
    assert last > 1


def test_pages_that_were_lost_are_passed_and_the_queue_goes_on() -> None:
    pages: dict[int, Page] = {}

    def filled(ends: Ends, first: int, count: int) -> Ends:
        queue = DueQueue(ends, pages.get)
        for n in range(first, first + count):
            queue.put(Due(n, f"c{n}"))
        pages.update(queue.changed)
        return queue.ends

    ends = filled(Ends(), 0, 2 * PAGE + 5)
    queue = DueQueue(ends, pages.get)
    assert [queue.take(10**9) for _ in range(3)] == [Due(n, f"c{n}") for n in range(3)]
    del pages[0], pages[2]
    ends = filled(queue.ends, 5_000_000, 7)
    queue = DueQueue(ends, pages.get)
    rest = []
    while (entry := queue.take(10**9)) is not None:
        rest.append(entry.time)
    assert rest == [*range(PAGE, 2 * PAGE), *range(5_000_000, 5_000_007)]
