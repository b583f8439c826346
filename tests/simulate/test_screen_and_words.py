"""The demo on a terminal and in words: it fits, tells what the scene holds and what is unsure."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Console

from stream.decide.policy import Denial
from stream.domain.event import RejectionCode
from stream.simulate.scene import (
    Answers,
    ModelScores,
    Scene,
    SeenSegment,
    ShopperGroup,
    ShownOffer,
    Suggestion,
    Uplift,
)
from stream.simulate.screen import screen, sparkline
from stream.simulate.words import NEXT, REASONS, line, offer_line, summary, verdict

LAMP = Suggestion("Eskola Teal Desk Lamp", "often bought together with Alderway Chair", 0.05, 2490)
MAT = Suggestion("Pellwick Oak Mouse Mat", "new in the shop", 0.01, 990)
FULL = Scene(
    seconds=12.3,
    of=30.0,
    now=1_760_000_000_000,
    warming=False,
    customers=3_000,
    items=1_320,
    refused_consent=141,
    events=23_456,
    event_rates=tuple(float(i % 17) * 40 for i in range(80)),
    offers=1_234,
    offer_rates=tuple(float(i % 5) for i in range(80)),
    latest=tuple(
        ShownOffer(f"customer-{i:06d}", "segment 3", "for-you", 20 * (i % 2), (LAMP, MAT))
        for i in range(24)
    ),
    segments=tuple(SeenSegment(i, "far above average spend, low recency") for i in range(1, 9)),
    learning=ModelScores(3_000, (0.6, 0.71), (0.3, 0.123), 1.04, 120, 71),
    p50=0.031,
    p99=1.22,
    counts={
        "applied": 23_000,
        "duplicate": 44,
        "late": 20,
        "suppressed": 400,
        **{f"denied:{reason}": 1_100 - i for i, reason in enumerate(Denial)},
        **{f"rejected:{reason}": 10 + i for i, reason in enumerate(RejectionCode)},
    },
    answers=Answers(900, 140, 22, 31, 1),
    effect=Uplift(
        ShopperGroup(2_400, 4_000, 260), ShopperGroup(600, 900, 50), 0.0094, -0.004, 0.024
    ),
)


def drawn(scene: Scene, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(screen(scene, width, height))
    return captured.get().splitlines()


@pytest.mark.parametrize("scene", [Scene(), FULL], ids=["empty", "full"])
@pytest.mark.parametrize(
    ("width", "height"),
    [(60, 18), (80, 24), (80, 50), (109, 40), (110, 30), (120, 40), (160, 50), (240, 80)],
)
def test_a_screen_fits_its_terminal(scene: Scene, width: int, height: int) -> None:
    rows = drawn(scene, width, height)
    assert len(rows) <= height
    assert max(cell_len(row) for row in rows) <= width


@pytest.mark.parametrize("width", [80, 140])
def test_a_screen_tells_everything_that_was_asked_for(width: int) -> None:
    told = "\n".join(drawn(FULL, width, 60))
    for words in (
        "23,456 events",
        "1,234 offers",
        "p50 31 ms",
        "p99 1.2 s",
        "customer-000001",
        "-20 %",
        LAMP.name,
        LAMP.reason,
        "far above average spend",
        "AUC",
        "0.710",
        "log loss",
        "0.1230",
        "59%",
        "141 refuse",
        "no consent",
        "bots",
        "900 seen",
        "6.5% of 4,000 visits",
        "too few visits to tell",
        "18 s left",
    ):
        assert words in told


def test_what_does_not_fit_takes_turns() -> None:
    titles = ("learning", "shoppers", "segments found", "suppressed and rejected")
    seen = set()
    for seconds in range(0, 20, 2):
        told = "\n".join(drawn(FULL._replace(seconds=float(seconds)), 80, 24))
        seen |= {title for title in titles if f"─ {title} " in told}
    assert seen == set(titles)


def test_the_past_is_announced() -> None:
    assert "catching up with the past" in "\n".join(drawn(FULL._replace(warming=True), 120, 40))


def test_a_sparkline_shows_the_latest_values_between_their_extremes() -> None:
    assert sparkline([9, 1, 2, 3], 3) == "▁▅█"
    assert sparkline([], 5) == ""
    assert sparkline([2, 2], 5) == "▁▁"


def test_every_reason_of_the_core_has_words() -> None:
    reasons = {*Denial, *RejectionCode}
    assert {str(reason) for reason in reasons} <= set(REASONS)


def test_a_plain_line_is_one_line_with_an_offer_and_its_reason() -> None:
    told = line(FULL)
    assert "\n" not in told
    for words in ("23,456 events", "1,234 offers", "31 ms", "AUC 0.710", LAMP.reason):
        assert words in told
    assert "0 labels: too few to judge by" in line(Scene())


def test_an_offer_in_a_line_says_for_whom_what_and_why() -> None:
    assert offer_line(FULL.latest[1]) == (
        "customer-000001: 20 % off Eskola Teal Desk Lamp (+1 more), "
        "often bought together with Alderway Chair"
    )


def test_a_summary_says_what_happened_and_what_to_try_next() -> None:
    told = summary(FULL)
    for words in (
        "23,456 events",
        "1,234 offers",
        "44 duplicates",
        "1,100 no consent",
        "dead letters:",
        "1 got one while",
        "AUC 0.710",
        "59%",
        "+0.9 points (-0.4 to +2.4), too few visits to tell",
        *(command for command, _ in NEXT),
    ):
        assert words in told


def test_a_summary_of_nothing_is_told_too() -> None:
    assert "too few labels" in summary(Scene())


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.01, 0.03, "sell more"), (-0.03, -0.01, "sell less"), (-0.01, 0.03, "too few visits")],
)
def test_a_verdict_claims_no_more_than_the_interval(low: float, high: float, words: str) -> None:
    some = ShopperGroup(10, 100, 5)
    assert words in verdict(Uplift(some, some, (low + high) / 2, low, high))


def test_without_visits_there_is_nobody_to_compare_with() -> None:
    assert verdict(Uplift()) == "nobody to compare with yet"
