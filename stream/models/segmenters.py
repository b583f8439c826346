"""The ways to segment customers that settings may name, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from stream.models.segments import IncrementalKMeans
from stream.models.state import StateError, StateValue

if TYPE_CHECKING:
    from stream.models.density import DensitySegments

Segmenter: TypeAlias = "IncrementalKMeans | DensitySegments"

SEGMENTERS: Final = ("kmeans", "density")


def segmenter(kind: str, k: int, seed: int = 0) -> Segmenter:
    """Return a fresh segmenter of at most k segments.

    Parameters
    ----------
    kind
        One of `SEGMENTERS`: ``kmeans`` for k segments of compact shape, ``density`` for up to k
        of any shape.
    k, seed
        Number of segments; of the randomness, where there is any.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind == "kmeans":
        return IncrementalKMeans(k, seed=seed)
    if kind == "density":
        return _density()(k)
    raise ValueError(f"{kind}: not one of {', '.join(SEGMENTERS)}")


def segmenter_from(state: Mapping[str, StateValue]) -> Segmenter:
    """Return the segmenter, of either kind, that a state was taken from.

    Raises
    ------
    StateError
        If it is the state of neither.
    """
    if "sample" in state:
        return IncrementalKMeans.from_state(state)
    if "radius" in state:
        return _density().from_state(state)
    raise StateError("segments: the state of no segmenter")


def _density() -> type[DensitySegments]:
    from stream.models.density import DensitySegments  # river's: 13 MB, and only where asked for

    return DensitySegments
