"""Health: whether the worker lives and is ready, told over HTTP from a thread of its own.

Rules:

- ``/livez`` is 200 while the event loop answers and, where records wait, something moves; never
  "messages arrive". ``/readyz`` is 200 while the worker takes events, and says why it does not.
- The server is up before recovery begins and answers while the event loop is busy.
- Loopback unless ``metrics.host`` says otherwise; it serves counts and reasons, no customer.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from socketserver import TCPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from stream.config import ConfigError, MetricsSettings
from stream.runtime.metrics import Metrics

log = logging.getLogger(__name__)

STARTING: Final = "starting"
BEAT: Final = 0.5  # seconds between two beats of the event loop: late ones are seen soon enough


class Verdict(NamedTuple):
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

    def readiness(self) -> Verdict:
        """Whether the worker takes events."""
        reason = self._unready
        return Verdict(reason is None, reason or "ready")

    def liveness(self) -> Verdict:
        """Whether a restart would help: no, while the loop answers and what waits moves on."""
        now = self._clock()
        silent = now - self._beat if self._beat is not None else 0.0
        if silent > self._settings.loop_timeout:
            return Verdict(False, f"the event loop has not answered for {silent:.0f} s")
        with self._lock:
            still, waiting = now - self._moved, self._backlog
        if waiting and still > self._settings.stall_timeout:
            return Verdict(False, f"{waiting} records wait and nothing moved for {still:.0f} s")
        return Verdict(True, "alive")


async def heartbeat(health: Health, interval: float = BEAT) -> None:
    """Beat until cancelled; run it as a task of the worker's event loop."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        health.beat(max(loop.time() - due, 0.0))
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
        self._answers: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/livez": lambda: _answer(health.liveness()),
            "/readyz": lambda: _answer(health.readiness()),
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, metrics.text()),
        }
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """The port that is bound; 0 before :meth:`start`."""
        return int(self._server.server_address[1]) if self._server else 0

    def start(self) -> None:
        """Bind the address and answer from now on."""
        host, port = self._settings.host, self._settings.port
        try:
            server = _Server((host, port), self._handler())
        except (OSError, UnicodeError) as error:
            raise _unbound(host, port, error) from error
        self._server = server
        Thread(target=server.serve_forever, args=(0.1,), name="health", daemon=True).start()

    def close(self) -> None:
        """Answer no more, and give the port back."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

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

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answers = self._answers

        class Handler(BaseHTTPRequestHandler):
            timeout = 5  # seconds: a silent client keeps no thread
            server_version = sys_version = ""

            def do_GET(self) -> None:
                answer = answers.get(self.path.partition("?")[0])
                status, kind, body = answer() if answer else (404, _TEXT, b"not found\n")
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: probes come every few seconds."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name that HTTPServer does: it can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "offerstream", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a client that went away; a fault of ours is logged."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            log.exception("a probe could not be answered")


_TEXT: Final = "text/plain; charset=utf-8"


def _answer(verdict: Verdict) -> tuple[int, str, bytes]:
    return 200 if verdict.ok else 503, _TEXT, f"{verdict.reason}\n".encode()


def _unbound(host: str, port: int, error: OSError | UnicodeError) -> ConfigError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        why, way = "the port is in use", "set another metrics.port (OFFERSTREAM_METRICS_PORT)"
    elif isinstance(error, OSError) and error.errno == errno.EACCES:
        why, way = "the port is for root", "set metrics.port to 1024 or above"
    else:
        why = getattr(error, "strerror", None) or str(error)
        way = "set metrics.host to an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    return ConfigError(f"metrics can't be served on {host}:{port}: {why}; {way}")
