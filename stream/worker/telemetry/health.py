"""Health: whether the worker lives and is ready, told over HTTP from a thread of its own.

Rules:

- ``/livez`` is 200 while the event loop answers and, where records wait, something moves; never
  "messages arrive". ``/readyz`` is 200 while the worker takes events, a broker answers and so does
  the learner, and says why it does not, or which schema it waits for.
- The server is up before recovery begins and answers while the event loop is busy.
- Loopback unless ``metrics.host`` says otherwise; it serves counts and reasons, no customer.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from socket import AF_INET, AF_INET6, create_server
from threading import Lock
from types import TracebackType
from typing import Final, NamedTuple, Self

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from stream.config import ConfigError, MetricsSettings
from stream.host.serving import TEXT, Answer, TextServer, by_path
from stream.worker.telemetry.metrics import Metrics

STARTING: Final = "starting"
BEAT: Final = 0.5  # seconds between two beats of the event loop: late ones are seen soon enough


class ProbeAnswer(NamedTuple):
    """An answer to a probe, and why."""

    ok: bool
    reason: str


class Health:
    """What a worker knows about itself; any thread may tell it, and any may ask.

    Parameters
    ----------
    settings
        How long the event loop may be silent, and how long lag may stand still.
    metrics
        Shows ``ready`` and the event loop's lag, too.
    clock
        A monotonic clock, in seconds.
    """

    def __init__(
        self,
        settings: MetricsSettings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics: Final = metrics
        self._settings, self._clock = settings, clock
        self._lock = Lock()
        self._unready: str | None = STARTING
        self._beat: float | None = None
        self._learner = 0.0
        self._silent = 0.0
        self._schemas = (0.0, "")
        self._backlog = 0
        self._moved = clock()

    def unready(self, reason: str) -> None:
        """Take no traffic for now: the reason (``recovering``, ``draining``) is shown."""
        self._unready = reason
        self.metrics.ready(False)

    def ready(self) -> None:
        """Take events from now on."""
        self._unready = None
        self.metrics.ready(True)

    def beat(self, late: float) -> None:
        """Note that the event loop answered, ``late`` seconds after it was due."""
        self._beat = self._clock()
        self.metrics.loop_lag(late)

    def learner(self, waited: float) -> None:
        """Note for how many seconds the learner has owed an answer."""
        self._learner = waited
        self.metrics.learner_waited(waited)

    def schemas(self, waited: float, why: str) -> None:
        """Note for how many seconds partitions have waited for a schema, and why."""
        self._schemas = waited, why
        self.metrics.schema_waited(waited)

    def broker(self, silent: float) -> bool:
        """Note for how many seconds no broker has answered; whether one is there."""
        self._silent = silent
        is_there = silent <= self._settings.broker_timeout
        self.metrics.broker(silent, is_there)
        return is_there

    def backlog(self, records: int) -> None:
        """Note how many records wait: of the topics, or of a table's recovery."""
        with self._lock:
            if self._backlog == 0:
                self._moved = self._clock()  # nothing waited, so nothing stood still
            self._backlog = records

    def moved(self) -> None:
        """Note progress: a batch was acked, or changelog records were recovered."""
        with self._lock:
            self._moved = self._clock()

    def readiness(self) -> ProbeAnswer:
        """Whether the worker takes events, and learns from them where it is the learner."""
        reason = self._unready
        if reason is None and self._silent > self._settings.broker_timeout:
            reason = f"no broker has answered for {self._silent:.0f} s"
        if reason is None and self._learner > self._settings.loop_timeout:
            reason = f"the learner has not answered for {self._learner:.0f} s"
        waited, why = self._schemas
        if reason is None and waited > self._settings.broker_timeout:
            reason = f"partitions have waited for {waited:.0f} s: {why}"
        return ProbeAnswer(reason is None, reason or "ready")

    def liveness(self) -> ProbeAnswer:
        """Whether a restart would help: no, while the loop answers and what waits moves on."""
        now = self._clock()
        silent = now - self._beat if self._beat is not None else 0.0
        if silent > self._settings.loop_timeout:
            return ProbeAnswer(False, f"the event loop has not answered for {silent:.0f} s")
        with self._lock:
            still, waiting = now - self._moved, self._backlog
        if self._schemas[0]:
            return ProbeAnswer(True, "alive")  # a restart brings no registry back
        if waiting and still > self._settings.stall_timeout:
            return ProbeAnswer(False, f"{waiting} records wait and nothing moved for {still:.0f} s")
        return ProbeAnswer(True, "alive")


async def heartbeat(
    health: Health,
    interval: float = BEAT,
    learner: Callable[[], float] = lambda: 0.0,
    schemas: Callable[[], tuple[float, str]] = lambda: (0.0, ""),
) -> None:
    """Beat until cancelled; run it as a task of the worker's event loop.

    ``learner`` gives the seconds for which the learner has owed an answer, ``schemas`` those for
    which somebody has waited for a schema, and why.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        health.beat(max(loop.time() - due, 0.0))
        health.metrics.loop_tasks(len(asyncio.all_tasks()))
        health.learner(learner())
        health.schemas(*schemas())
        due = loop.time() + interval
        await asyncio.sleep(interval)


class HealthServer:
    """Serves ``/livez``, ``/readyz`` and ``/metrics``; a context manager.

    Parameters
    ----------
    settings
        The address; port 0 takes any free one.
    health, metrics
        What is served.

    Raises
    ------
    ConfigError
        From :meth:`start`, if the address can't be had.
    """

    def __init__(self, settings: MetricsSettings, health: Health, metrics: Metrics) -> None:
        self._settings = settings
        self._answers: dict[str, Callable[[], Answer]] = {
            "/livez": lambda: _answer(health.liveness()),
            "/readyz": lambda: _answer(health.readiness()),
            "/metrics": lambda: Answer(200, CONTENT_TYPE_LATEST, metrics.text()),
        }
        self._server: TextServer | None = None

    @property
    def port(self) -> int:
        """The port that is bound; 0 before :meth:`start`."""
        return self._server.port if self._server else 0

    def start(self) -> None:
        """Bind the address and answer from now on."""
        host, port = self._settings.host, self._settings.port
        try:
            family = AF_INET6 if ":" in host else AF_INET
            listening = create_server((host, port), family=family)
        except (OSError, UnicodeError) as error:
            raise _unbound(host, port, error) from error
        self._server = TextServer(listening, by_path(self._answers))

    def close(self) -> None:
        """Answer no more, and give the port back."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _answer(verdict: ProbeAnswer) -> Answer:
    return Answer(200 if verdict.ok else 503, TEXT, f"{verdict.reason}\n".encode())


def _unbound(host: str, port: int, error: OSError | UnicodeError) -> ConfigError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        why, way = "the port is in use", "set another metrics.port (OFFERSTREAM_METRICS_PORT)"
    elif isinstance(error, OSError) and error.errno == errno.EACCES:
        why, way = "the port is for root", "set metrics.port to 1024 or above"
    else:
        why = getattr(error, "strerror", None) or str(error)
        way = "set metrics.host to an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    return ConfigError(f"metrics can't be served on {host}:{port}: {why}; {way}")
