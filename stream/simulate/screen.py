"""The demo on a terminal: a scene becomes panels that fit its width and height."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream.simulate.scene import Scene, ShownOffer
from stream.simulate.words import REASONS, clock, learned, milliseconds, points, verdict

WIDE = 110
_BARS = " ▁▂▃▄▅▆▇█"
_HEADER_ROWS, _BORDERS = 5, 2
_LEAST_OFFER_ROWS = 4
_TURN_SECONDS = 4.0  # where not all panels fit, they take turns


class Block(NamedTuple):
    """Something to draw, and the rows that it takes: no cell wraps, so they are known before."""

    drawn: RenderableType
    rows: int


def screen(scene: Scene, width: int, height: int) -> RenderableType:
    """Draw a scene for a terminal of so many columns and rows; what doesn't fit takes its turn."""
    wide = width >= WIDE
    blocks = _blocks(scene, wide)
    left = height - _HEADER_ROWS - _LEAST_OFFER_ROWS - _BORDERS
    if sum(block.rows for block in blocks) > left:
        turn = int(scene.seconds / _TURN_SECONDS) % len(blocks)
        blocks = blocks[turn:] + blocks[:turn]
    chosen: list[RenderableType] = []
    for block in blocks:
        if block.rows <= left:
            chosen.append(block.drawn)
            left -= block.rows
    return Group(_header(scene, width), _offers(scene, _LEAST_OFFER_ROWS + left, wide), *chosen)


def sparkline(values: Sequence[float], width: int) -> str:
    """The last ``width`` values as bars, from the lowest to the highest of them.

    >>> sparkline([0, 1, 2, 4], 3)
    '▁▃█'
    """
    last = list(values)[-width:]
    if not last:
        return ""
    low, high = min(last), max(last)
    span = (high - low) or 1.0
    return "".join(_BARS[1 + round((value - low) / span * 7)] for value in last)


def _blocks(scene: Scene, wide: bool) -> list[Block]:
    panels = {
        "learning": _learning(scene),
        "shoppers": _people(scene),
        "segments found": _segments(scene),
        "suppressed and rejected": _withheld(scene),
    }
    if not wide:
        return [
            Block(_panel(title, grid), grid.row_count + _BORDERS) for title, grid in panels.items()
        ]
    titled = list(panels.items())
    return [_side_by_side(titled[0], titled[1]), _side_by_side(titled[2], titled[3])]


def _header(scene: Scene, width: int) -> RenderableType:
    title = Text.assemble(("offerstream", "bold cyan"), "  simulated shop, ", clock(scene.now))
    if scene.warming:
        title.append("  (catching up with the past)", style="yellow")
    rate = scene.event_rates[-1] if scene.event_rates else 0.0
    offer_rate = scene.offer_rates[-1] if scene.offer_rates else 0.0
    bars = min(max(width // 2 - 34, 4), 40)
    numbers = _row(
        _number(f"{scene.events:,}", "events"),
        _number(f"{rate:,.0f}/s", sparkline(scene.event_rates, bars)),
        _number(f"{scene.offers:,}", "offers"),
        _number(f"{offer_rate:,.1f}/s", sparkline(scene.offer_rates, bars)),
    )
    waits = _row(
        Text.assemble(
            ("event to offer ", "dim"),
            ("p50 ", "dim"),
            (milliseconds(scene.p50), "bold"),
            ("  p99 ", "dim"),
            (milliseconds(scene.p99), "bold"),
        ),
        _number(f"{scene.customers:,}", "customers"),
        _number(f"{scene.refused_consent:,}", "refuse"),
    )
    left = f"{max(scene.of - scene.seconds, 0):.0f} s left, Ctrl-C ends it"
    bar = ProgressBar(total=scene.of, completed=min(scene.seconds, scene.of), width=width - 4)
    return Panel(
        Group(numbers, waits, bar),
        title=title,
        title_align="left",
        subtitle=Text(left, style="dim"),
        subtitle_align="right",
        box=box.ROUNDED,
    )


def _row(*cells: Text) -> RenderableType:
    grid = Table.grid(padding=(0, 3))
    for _ in cells:
        grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row(*cells)
    return grid


def _number(value: str, label: str) -> Text:
    return Text.assemble((value, "bold"), " ", (label, "dim"))


def _offers(scene: Scene, rows: int, wide: bool) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1), show_edge=False, show_header=False)
    table.add_column("customer", no_wrap=True, style="cyan")
    table.add_column("off", no_wrap=True, justify="right", style="green")
    table.add_column("offer and reason", no_wrap=True, ratio=1, overflow="ellipsis")
    left = rows
    for offer in scene.latest:
        words = _suggestions(offer, wide)[:left]
        left -= len(words)
        for place, text in enumerate(words):
            off = f"-{offer.discount} %" if offer.discount else ""
            table.add_row(*((offer.customer, off) if place == 0 else ("", "")), text)
    if not scene.latest:
        table.add_row("", "", Text("the first offers come in a few seconds", style="dim"))
        left -= 1
    for _ in range(left):
        table.add_row("", "", "")
    return _panel("latest offers: for whom, what and why", table)


def _suggestions(offer: ShownOffer, wide: bool) -> list[Text]:
    """An offer in rows: three items with their reasons, or one with the reason below it."""
    if wide:
        return [
            Text.assemble(item.name, "  ", (item.reason, "dim italic")) for item in offer.items[:3]
        ]
    return [
        text
        for item in offer.items[:1]
        for text in (Text(item.name), Text(f"  {item.reason}", style="dim italic"))
    ]


def _learning(scene: Scene) -> Table:
    last = scene.learning
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, ratio=1)
    if not last.auc:
        grid.add_row("propensity", learned(scene), "")
    else:
        grid.add_row("AUC", f"{last.auc[-1]:.3f}", sparkline(last.auc, 24))
        grid.add_row("log loss", f"{last.log_loss[-1]:.4f}", sparkline(last.log_loss, 24))
        grid.add_row("calibration", f"{last.calibration:.2f}", Text("1 is right", style="dim"))
        grid.add_row("labels", f"{last.labels:,}", Text("judged before learned", style="dim"))
    if last.pairs:
        share = f"{last.true_pairs / last.pairs:.0%}"
        grid.add_row("bought together", share, Text("of those offered truly are", style="dim"))
    return grid


def _segments(scene: Scene) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(justify="right", style="cyan", no_wrap=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for segment in scene.segments:
        grid.add_row(str(segment.number), segment.words)
    if not scene.segments:
        grid.add_row("", Text("no segments yet", style="dim"))
    return grid


def _withheld(scene: Scene) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(justify="right", style="bold", no_wrap=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", style="bold", no_wrap=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    denied = [(count, REASONS.get(name, name)) for name, count in scene.reasons("denied")]
    dropped = [(count, REASONS.get(name, name)) for name, count in scene.reasons("rejected")]
    for outcome, word in (("duplicate", "duplicates"), ("late", "late"), ("suppressed", "bots")):
        if scene.counts.get(outcome):
            dropped.append((scene.counts[outcome], word))
    dropped.sort(reverse=True)
    grid.add_row("", Text("no offer because", style="dim"), "", Text("not taken", style="dim"))
    for left, right in zip_longest(denied[:6], dropped[:6], fillvalue=(0, "")):
        grid.add_row(
            f"{left[0]:,}" if left[0] else "",
            left[1],
            f"{right[0]:,}" if right[0] else "",
            right[1],
        )
    return grid


def _people(scene: Scene) -> Table:
    told, effect = scene.answers, scene.effect
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    grid.add_row("offers", f"{told.seen:,} seen, {told.clicked:,} clicked")
    grid.add_row("", f"{told.dismissed:,} dismissed, {told.orders:,} led to orders")
    for label, group in (("with offers", effect.offered), ("held out", effect.held_out)):
        share = group.orders / group.visits if group.visits else 0.0
        grid.add_row(label, f"{share:.1%} of {group.visits:,} visits buy")
    grid.add_row("difference", points(effect))
    grid.add_row("", Text(verdict(effect), style="dim"))
    return grid


def _side_by_side(left: tuple[str, Table], right: tuple[str, Table]) -> Block:
    """Two panels of the same height, half of the width each."""
    rows = max(left[1].row_count, right[1].row_count) + _BORDERS
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(_panel(*left, rows), _panel(*right, rows))
    return Block(grid, rows)


def _panel(title: str, content: Table, rows: int | None = None) -> Panel:
    return Panel(
        content,
        title=title,
        title_align="left",
        box=box.ROUNDED,
        border_style="dim",
        height=rows,
    )
