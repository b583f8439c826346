"""P(conversion): calibrated online logistic regression on hashed features."""

from stream.models.propensity.champion import Propensity
from stream.models.propensity.ftrl import HashedFTRL

__all__ = ["HashedFTRL", "Propensity"]
