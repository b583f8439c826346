"""Fixtures of the tests of extensions."""

from tests.extending.installing import shop, site

__all__ = ["shop", "site"]
