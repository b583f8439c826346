"""Segments: k-means, density, a dendrogram over centroids, and a self-organising map."""
