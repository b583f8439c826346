"""A group's coordinator that refuses to tell the commits is asked again, or another is.

Since OffsetFetch v2 (KIP-88) a broker that is no longer the coordinator, or has not loaded the
group yet, says so once, beside an empty list of topics. aiokafka looks for errors in that list
alone. To it nothing was ever committed then, and the group begins anew: with the oldest record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiokafka.errors import (
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    NoError,
    NotCoordinatorForGroupError,
    for_code,
)

from stream.config import ConfigError

OFFSET_FETCH, JOIN_GROUP = 9, 11
REFUSED: Final = {
    InconsistentGroupProtocolError.errno: "has a member that is no worker, such as a console "
    "consumer or a tool that measures lag: end it, or start again with another app_id",
    InvalidSessionTimeoutError.errno: "does not take kafka.session_timeout: set it between the "
    "broker's group.min.session.timeout.ms and group.max.session.timeout.ms, 6 s and 1,800 s "
    "unless changed",
    InvalidGroupIdError.errno: "has a name that the broker does not take: set another app_id",
}
"""What a group says, by the error's number, to a member that it will never take."""


def heed_refusals(consumer: Any, fail: Callable[[BaseException], None] = lambda _: None) -> None:
    """Have a started ``AIOKafkaConsumer`` that is in a group hear what its coordinator refuses.

    What it then raises, aiokafka itself answers: it waits and asks again, where that may help.
    That a group never takes it, it tells whoever asks for records next; without partitions nobody
    does, for ever. So ``fail`` is told.
    """
    coordinator = consumer._coordinator
    send = coordinator._send_req

    async def heeding(request: Any) -> Any:
        response = await send(request)
        if response.API_KEY == OFFSET_FETCH:
            error = for_code(getattr(response, "error_code", NoError.errno))
            if error is NotCoordinatorForGroupError:
                coordinator.coordinator_dead()
            if error is not NoError:
                raise error()
        if response.API_KEY == JOIN_GROUP and response.error_code in REFUSED:
            fail(ConfigError(f"group {coordinator.group_id} {REFUSED[response.error_code]}"))
        return response

    coordinator._send_req = heeding
