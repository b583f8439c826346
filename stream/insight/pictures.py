"""Pictures of segments as SVG: a dendrogram, and a self-organising map.

Rules: a text that every browser shows; small values are light, large ones dark, in one hue that
colour-blind readers see, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.models.segments.linkage import Numbers, Tree, order
from stream.models.segments.som import SelfOrganisingMap

Floats = npt.NDArray[np.float64]

_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_WIDTH, _HEIGHT, _MARGIN = 760, 420, 40
_CELL, _GAP, _ACROSS = 20, 30, 3


def dendrogram(tree: Tree, owners: Numbers, title: str) -> str:
    """Draw a tree; below it each leaf's share, in the colour of its segment.

    Parameters
    ----------
    tree
        Of the leaves.
    owners
        Segment of each leaf, of shape (leaves,).
    title
        What it shows.

    Examples
    --------
    >>> from stream.models.segments.linkage import linkage
    >>> tree = linkage(np.array([[0.0], [1.0], [9.0]]), np.ones(3))
    >>> dendrogram(tree, np.array([0, 0, 1]), "Customers").count("<rect")
    4
    """
    leaves, bottom = tree.leaves, _HEIGHT - 2 * _MARGIN
    step = (_WIDTH - 2 * _MARGIN) / leaves
    place = np.zeros(2 * leaves - 1)
    height = np.concatenate([np.zeros(leaves), tree.heights])
    parts = [_head(_WIDTH, _HEIGHT, title)]
    for number, leaf in enumerate(order(tree)):
        place[leaf] = _MARGIN + (number + 0.5) * step
        size = _MARGIN * tree.weights[leaf] / tree.weights[:leaves].max()
        colour = _COLOURS[int(owners[leaf]) % len(_COLOURS)]
        parts.append(
            f'<rect x="{place[leaf] - step * 0.4:.1f}" y="{bottom + 6}" width="{step * 0.8:.1f}" '
            f'height="{size:.1f}" fill="{colour}"/>'
        )
    scale = (bottom - _MARGIN - 10) / max(float(height.max()), 1e-12)
    for number, (a, b) in enumerate(tree.pairs.tolist(), leaves):
        place[number] = (place[a] + place[b]) / 2
        tops = [bottom - scale * height[at] for at in (a, b, number)]
        parts.append(
            f'<path d="M{place[a]:.1f} {tops[0]:.1f}V{tops[2]:.1f}H{place[b]:.1f}V{tops[1]:.1f}" '
            'stroke="#444444" fill="none"/>'
        )
    note = "height: what a merge costs; below: share of customers, by segment"
    parts.append(f'<text x="{_MARGIN}" y="{_HEIGHT - 12}">{note}</text></svg>\n')
    return "\n".join(parts)


def self_organising_map(model: SelfOrganisingMap, names: Sequence[str], title: str) -> str:
    """Draw a map: its U-matrix, the share of each cell, and a plane for each coordinate.

    Examples
    --------
    >>> model = SelfOrganisingMap(k=2, rows=2, columns=3, warmup=8)
    >>> model.learn_many(np.random.default_rng(1).normal(size=(20, 2)))
    >>> self_organising_map(model, ["recency", "spend"], "Map").count("<rect")
    25
    """
    sheets = {"U-matrix": model.u_matrix(), "share": model.shares()}
    for at, name in enumerate(names):
        sheets[name] = model.planes()[:, :, at]
    wide = model.columns * _CELL + _GAP
    high = model.rows * _CELL + _GAP + 20
    rows = -(-len(sheets) // _ACROSS)
    parts = [_head(2 * _GAP + _ACROSS * wide, 2 * _GAP + rows * high, title)]
    for number, (name, sheet) in enumerate(sheets.items()):
        left, top = _GAP + number % _ACROSS * wide, 2 * _GAP + number // _ACROSS * high
        low, most = float(sheet.min()), float(sheet.max())
        told = f"{name}: {low:.3g} … {most:.3g}"
        parts.append(f'<text x="{left}" y="{top - 6}">{escape(told)}</text>')
        parts += _cells(sheet, left, top)
    return "\n".join([*parts, "</svg>\n"])


def _cells(sheet: Floats, left: int, top: int) -> list[str]:
    span = float(np.ptp(sheet)) or 1.0
    shares = (sheet - sheet.min()) / span
    return [
        f'<rect x="{left + _CELL * column}" y="{top + _CELL * row}" width="{_CELL}" '
        f'height="{_CELL}" fill="{_shade(float(shares[row, column]))}"/>'
        for row in range(sheet.shape[0])
        for column in range(sheet.shape[1])
    ]


def _shade(share: float) -> str:
    """Return a colour from light to dark blue."""
    light, dark = (240, 246, 252), (0, 50, 110)
    return "#" + "".join(
        f"{round(a + (b - a) * share):02x}" for a, b in zip(light, dark, strict=True)
    )


def _head(width: int, height: int, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="{_GAP}" y="24" font-size="15">{escape(title)}</text>'
    )
