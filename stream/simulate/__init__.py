"""Simulated shoppers: people with tastes, purses and moods, who click, buy and answer offers."""

from stream.simulate.shop import Books
from stream.simulate.shoppers import Shoppers
from stream.simulate.timeline import TimedRecord

__all__ = ["Books", "Shoppers", "TimedRecord"]
