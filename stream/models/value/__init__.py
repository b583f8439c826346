"""What a customer will spend: purchases as features, and the model of the next days' spend."""

from stream.models.value.purchases import Purchases
from stream.models.value.spend import Outlook, SpendRegressor

__all__ = ["Outlook", "Purchases", "SpendRegressor"]
