"""A group's coordinator that refuses to tell the commits is asked again, or another is.

Since OffsetFetch v2 (KIP-88) a broker that is no longer the coordinator, or has not loaded the
group yet, says so once, beside an empty list of topics. aiokafka looks for errors in that list
alone. To it nothing was ever committed then, and the group begins anew: with the oldest record.
"""

from __future__ import annotations

from typing import Any

from aiokafka.errors import NoError, NotCoordinatorForGroupError, for_code

OFFSET_FETCH = 9


def heed_refusals(consumer: Any) -> None:
    """Have a started ``AIOKafkaConsumer`` that is in a group hear what its coordinator refuses.

    What it then raises, aiokafka itself answers: it waits and asks again, where that may help.
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
        return response

    coordinator._send_req = heeding
