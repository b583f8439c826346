"""A Faust schema that hands values on as they are: batches, and raw bytes."""

from __future__ import annotations

from typing import Any

from faust.types import Message

import faust


class AsIs(faust.Schema[Any, Any]):
    """Neither keys nor values are decoded: the agent does that, and never raises on them."""

    def loads_key(self, app: Any, message: Message, **kwargs: Any) -> bytes | None:
        """The key's bytes."""
        return message.key

    def loads_value(self, app: Any, message: Message, **kwargs: Any) -> Any:
        """The batch, or the value's bytes."""
        return message.value
