"""The calendar of timers: whatever is set is due in its order, wherever batches end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec.customers import decode_timers, encode_page
from stream.decide.rows import timers as calendar
from stream.decide.rows.due import Due, Page
from stream.decide.rows.layout import LARGEST
from stream.decide.rows.timers import LEVELS, PAGES, SPAN, Timers

YEAR: Final = 366 * 86_400_000
sets = st.tuples(st.just("set"), st.integers(0, 30), st.integers(1, YEAR) | st.integers(1, 9_000))
unsets = st.tuples(st.just("unset"), st.integers(0, 30), st.just(0))
passes = st.tuples(st.just("pass"), st.just(0), st.integers(1, YEAR) | st.integers(1, 20_000))
cuts = st.tuples(st.just("cut"), st.just(0), st.just(0))


class Kept:
    """A calendar whose pages are bytes between two batches."""

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        self.timers = Timers(0, self._read)

    def _read(self, at: int) -> Page | None:
        stored = self.pages.get(at)
        return None if stored is None else decode_timers(stored)

    def cut(self) -> None:
        """A batch ends here."""
        for at, page in self.timers.changed.items():
            if page:
                self.pages[at] = encode_page(page)
            else:
                self.pages.pop(at, None)
        ends = self.timers.next_time
        self.timers = Timers(0 if ends == LARGEST else ends, self._read)


@given(st.lists(sets | sets | unsets | passes | cuts, max_size=60))
def test_entries_are_due_in_their_order_and_once(steps: Sequence[tuple[str, int, int]]) -> None:
    kept, now = Kept(), 1_700_000_000_000
    plain: dict[str, tuple[int, int]] = {}
    for what, who, much in steps:
        name = f"c{who}"
        if what in ("set", "unset") and name in plain:
            kept.timers.remove(name, plain.pop(name)[1])
        if what == "set":
            plain[name] = now + much, kept.timers.put(Due(now + much, name))
        elif what == "pass":
            now += much
            due = sorted((time, name) for name, (time, _) in plain.items() if time <= now)
            taken = [kept.timers.take(now) for _ in due]
            assert [one and (one[0].time, one[0].customer_id) for one in taken] == due
            assert [one and one[1] for one in taken] == [plain.pop(name)[1] for _, name in due]
            assert kept.timers.take(now) is None
        elif what == "cut":
            kept.cut()
        first = min([time for time, _ in plain.values()], default=LARGEST)
        assert kept.timers.next_time == first
    for name, (_, page) in plain.items():
        kept.timers.remove(name, page)
    kept.cut()
    assert not kept.pages, "nothing is left of a calendar in which nobody waits"


def test_a_full_page_gives_way_to_the_next_and_nobody_is_early_or_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calendar, "LEAF", 3)
    kept, times = Kept(), [90_000 + n for n in range(20)]
    pages = {time: kept.timers.put(Due(time, f"c{time}")) for time in times}
    assert max(pages.values()) == (90_000 >> SPAN) + 6
    kept.cut()
    assert kept.timers.take(89_999) is None
    taken = [kept.timers.take(90_100) for _ in times]
    assert [one and one[0].time for one in taken] == times
    assert kept.timers.next_time == LARGEST


@pytest.mark.parametrize("level", range(LEVELS + 1))
def test_a_lost_page_costs_what_stood_below_it_and_nothing_else(level: int) -> None:
    kept = Kept()
    for time in (5_000, 6_000, 10**12):
        kept.timers.put(Due(time, f"c{time}"))
    kept.cut()
    lost = min(at for at in kept.pages if at // PAGES == level + 1)
    del kept.pages[lost]
    found = [one for one in (kept.timers.take(2 * 10**12) for _ in range(3)) if one]
    assert [entry.time for entry, _ in found] == ([] if level == LEVELS else [10**12])
    kept.timers.put(Due(2 * 10**12, "again"))
    assert kept.timers.take(2 * 10**12) is not None


pages = st.lists(
    st.builds(Due, st.integers(-1, 70) | st.integers(-1, 1 << 61), st.just("x")), max_size=4
)


@given(st.dictionaries(st.tuples(st.integers(0, LEVELS), st.integers(0, 3)), pages))
def test_pages_that_nobody_wrote_so_come_to_an_end(found: dict[tuple[int, int], list[Due]]) -> None:
    """Whoever may write the changelog makes no worker look for ever."""
    kept = {PAGES * (level + 1) + at: tuple(page) for (level, at), page in found.items()}
    timers = Timers(1, kept.get)
    for _ in range(sum(map(len, kept.values())) + 1):
        if timers.take(1 << 61) is None:
            break
    else:
        raise AssertionError("there is no end")
    assert timers.next_time == LARGEST
    page = timers.put(Due(9_000, "anna"))
    taken = [timers.take(1 << 61) for _ in range(8)]  # others of that page may be found now
    assert (Due(9_000, "anna"), page) in taken


def test_there_is_no_room_beyond_the_years_that_a_record_can_name() -> None:
    kept = Kept()
    assert kept.timers.put(Due(1 << 44, "c1")) == 0
    assert kept.timers.next_time == LARGEST
    assert kept.timers.put(Due((1 << 43) - 1, "c1")) == calendar.MOST
