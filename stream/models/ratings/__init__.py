"""Ratings foreseen: biases, user factors and user-based neighbours, blended, online."""

from stream.models.ratings.model import RatingModel

__all__ = ["RatingModel"]
