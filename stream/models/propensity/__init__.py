"""P(conversion): calibrated online logistic regression on hashed features."""

from stream.models.propensity.champion import Encoded, Propensity
from stream.models.propensity.encoding import Encoder
from stream.models.propensity.ftrl import HashedFTRL

__all__ = ["Encoded", "Encoder", "HashedFTRL", "Propensity"]
