"""Line charts as SVG, without a plotting library.

Rules: an SVG is a text that every browser and every document shows; colours are told apart by
colour-blind readers, too (Okabe and Ito's); the legend names the lines in the order given.
"""

from __future__ import annotations

import math
from html import escape
from typing import Final, NamedTuple

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
WIDTH: Final = 760
HEIGHT: Final = 420
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 44, 52
TICKS: Final = 6

Point = tuple[float, float]


class _Axis(NamedTuple):
    """Maps values to pixels, and says where its ticks are."""

    low: float
    high: float
    start: float
    end: float
    step: float

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [number * self.step for number in range(first, last + 1)]


def line_chart(
    series: dict[str, list[tuple[float, float]]], title: str, x_label: str, y_label: str
) -> str:
    """Draw lines into an SVG document.

    Parameters
    ----------
    series
        Points (x, y) of each line, by its name; points that are not finite are left out.
    title, x_label, y_label
        What it shows, and what the axes measure.

    Returns
    -------
    str
        A whole SVG document.

    Examples
    --------
    >>> svg = line_chart({"blend": [(0, 0.1), (10, 0.4)]}, "Learning", "steps", "HR@20")
    >>> svg.startswith("<svg"), svg.count("<polyline"), "HR@20" in svg
    (True, 1, True)
    """
    lines = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        for name, points in series.items()
    }
    points = [point for line in lines.values() for point in line] or [(0.0, 0.0)]
    across = _axis([x for x, _ in points], LEFT, WIDTH - RIGHT)
    up = _axis([y for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 24, title, size=15),
        *_grid(across, up),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_label, anchor="middle"),
        f'<g transform="rotate(-90)">{_text(-HEIGHT / 2, 18, y_label, anchor="middle")}</g>',
    ]
    for place, (name, line) in enumerate(lines.items()):
        parts += _line(place, name, line, across, up)
    return "\n".join([*parts, "</svg>", ""])


def _axis(values: list[float], start: float, end: float) -> _Axis:
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / TICKS
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * (1 - 1e-9))
    return _Axis(math.floor(low / step) * step, math.ceil(high / step) * step, start, end, step)


def _grid(across: _Axis, up: _Axis) -> list[str]:
    parts = []
    for value in up.ticks():
        y = up.place(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:.6g}", anchor="end"))
    for value in across.ticks():
        x = across.place(value)
        parts.append(f'<path d="M{x:.1f} {HEIGHT - BOTTOM}v5" stroke="#888888"/>')
        parts.append(_text(x, HEIGHT - BOTTOM + 18, f"{value:,.6g}", anchor="middle"))
    parts.append(f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" ')
    parts[-1] += 'stroke="#888888" fill="none"/>'
    return parts


def _line(place: int, name: str, line: list[Point], across: _Axis, up: _Axis) -> list[str]:
    colour = COLOURS[place % len(COLOURS)]
    path = " ".join(f"{across.place(x):.1f},{up.place(y):.1f}" for x, y in line)
    y = TOP + 10 + 20 * place
    x = WIDTH - RIGHT + 16
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<path d="M{x} {y}h18" stroke="{colour}" stroke-width="3"/>',
        _text(x + 24, y + 4, name),
    ]


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f"<text {place}>{escape(text)}</text>"
