"""More ways to segment: a dendrogram over centroids, and a self-organising map."""

from stream.models.clusters.hierarchy import HierarchicalSegments
from stream.models.clusters.som import SelfOrganisingMap

__all__ = ["HierarchicalSegments", "SelfOrganisingMap"]
