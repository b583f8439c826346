"""The ways to segment customers, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from stream.models.base.state import StateError, StateValue
from stream.models.segments.kmeans import IncrementalKMeans

if TYPE_CHECKING:
    from stream.models.segments.density import DensitySegments
    from stream.models.segments.hierarchy import HierarchicalSegments
    from stream.models.segments.som import SelfOrganisingMap

Segmenter: TypeAlias = (
    "IncrementalKMeans | DensitySegments | HierarchicalSegments | SelfOrganisingMap"
)

DECIDING: Final = ("kmeans", "density")  # that settings may name: what they call segments stays
SEGMENTERS: Final = (*DECIDING, "hierarchical", "som")


def segmenter(kind: str, k: int, seed: int = 0) -> Segmenter:
    """Return a fresh segmenter of at most k segments.

    Parameters
    ----------
    kind
        One of `SEGMENTERS`: ``kmeans`` for k segments of compact shape, ``density`` for up to k
        of any shape, ``hierarchical`` for a dendrogram that is cut at k, ``som`` for k regions of
        a self-organising map.
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
    from stream.models.segments.hierarchy import HierarchicalSegments
    from stream.models.segments.som import SelfOrganisingMap

    if kind == "hierarchical":
        return HierarchicalSegments(k, max(48, k), seed)
    if kind == "som":
        return SelfOrganisingMap(k)
    raise ValueError(f"{kind}: not one of {', '.join(SEGMENTERS)}")


def segmenter_from(state: Mapping[str, StateValue]) -> Segmenter:
    """Return the segmenter, of any kind, that a state was taken from.

    Raises
    ------
    StateError
        If it is the state of none.
    """
    if "leaves" in state or "rows" in state:
        from stream.models.segments.hierarchy import HierarchicalSegments
        from stream.models.segments.som import SelfOrganisingMap

        kind = HierarchicalSegments if "leaves" in state else SelfOrganisingMap
        return kind.from_state(state)
    if "sample" in state:
        return IncrementalKMeans.from_state(state)
    if "radius" in state:
        return _density().from_state(state)
    raise StateError("segments: the state of no segmenter")


def _density() -> type[DensitySegments]:
    from stream.models.segments.density import (
        DensitySegments,  # river's: 13 MB, and only where asked for
    )

    return DensitySegments
