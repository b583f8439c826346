"""A server of a few short texts over HTTP, in a thread of its own, which no client can exhaust.

Rules:

- One request a connection, then it is closed: a probe and a scrape need no more.
- A connection has a few seconds in all, for its request, its answer and its end; a request's head
  has a few kilobytes. So neither who writes slowly nor who reads slowly holds anything for long.
- Where only this machine is meant to ask, a request says so in its head (``Host``): a page of some
  other site that has its name point here reads nothing.
- There are so many connections at most, and no more than a share of the descriptors that the
  process may have. One too many ends the one that was there first: whoever asks promptly is
  answered, however many dawdle.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from threading import Thread
from typing import Final, NamedTuple

log = logging.getLogger(__name__)

TEXT: Final = "text/plain; charset=utf-8"
CONNECTIONS: Final = 32  # at once: a probe or two, a scrape or two, and some that dawdle
SHARE: Final = 8  # … and no more than one descriptor in so many
WAITING: Final = 512  # to be taken on; the system holds them, and no descriptors of ours
SECONDS: Final = 5.0  # for a connection, from its first byte to its last
HEAD: Final = 8_192  # bytes of a request's head; a scraper's has some 500
REST: Final = 1 << 20  # bytes behind a request's head that are read before the connection ends


class Answer(NamedTuple):
    """What a path is answered with."""

    status: int
    kind: str
    body: bytes


Route = Callable[[str], Answer | None]
"""From what is asked for, its query included, to the answer; None where there is none."""

LOOPBACK: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))


def by_path(answers: Mapping[str, Callable[[], Answer]]) -> Route:
    """The route that answers some paths, whatever the query."""

    def route(target: str) -> Answer | None:
        answer = answers.get(target.partition("?")[0])
        return answer() if answer else None

    return route


class TextServer:
    """Serves texts.

    Parameters
    ----------
    listening
        A bound socket, which is closed at the end.
    route
        Finds the answer; called in the server's thread.
    name
        Of the thread.
    hosts
        The names by which a request may call this server, without the port; None: any.
    """

    def __init__(
        self,
        listening: socket.socket,
        route: Route,
        *,
        name: str = "health",
        hosts: frozenset[str] | None = None,
    ) -> None:
        self._route, self._hosts = route, hosts
        self._open: dict[StreamWriter, None] = {}
        self._most = min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // SHARE)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self.port = int(listening.getsockname()[1])
        self._thread = Thread(target=self._run, args=(listening,), name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more, and give the port back."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self, listening: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listening))

    async def _serve(self, listening: socket.socket) -> None:
        # To asyncio the backlog is also how many it takes on at once, before it looks at any.
        server = await asyncio.start_server(
            self._attend, sock=listening, limit=HEAD, backlog=self._most
        )
        listening.listen(WAITING)
        await self._stop.wait()
        server.close()
        for writer in list(self._open):
            writer.transport.abort()
        if ending := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(ending, timeout=SECONDS)

    async def _attend(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._open[writer] = None
        if len(self._open) > self._most:
            self._end(next(iter(self._open)))
        try:
            async with asyncio.timeout(SECONDS):
                await self._exchange(reader, writer)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # it went away, or took too long
        except Exception:
            log.exception("a probe could not be answered")
        finally:
            self._end(writer)

    async def _exchange(self, reader: StreamReader, writer: StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=0)  # so that draining means sent
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            head = b""
            answer = _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            answer = self._answer(head)
        writer.write(_encoded(answer, with_body=not head.startswith(b"HEAD ")))
        await writer.drain()
        # Closed with something unread, a connection is reset, and its answer may be lost.
        with suppress(OSError):
            writer.write_eof()
        left = REST
        while left > 0 and (read := await reader.read(HEAD)):
            left -= len(read)

    def _answer(self, head: bytes) -> Answer:
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _refusal(HTTPStatus.BAD_REQUEST)
        method, target, _ = words
        if method not in ("GET", "HEAD"):
            return _refusal(HTTPStatus.NOT_IMPLEMENTED)
        if self._hosts is not None and _host(head) not in self._hosts:
            return _refusal(HTTPStatus.MISDIRECTED_REQUEST)
        return self._route(target) or _refusal(HTTPStatus.NOT_FOUND)

    def _end(self, writer: StreamWriter) -> None:
        self._open.pop(writer, None)
        if not writer.transport.is_closing() and writer.transport.get_write_buffer_size() == 0:
            writer.close()
        else:
            writer.transport.abort()


def _host(head: bytes) -> str:
    """The host that a request names, without its port, in small letters; empty if it names none.

    >>> [_host(b"GET / HTTP/1.1" + b) for b in (b"\\r\\nHost: A.b:80", b"\\r\\nhost:[::1]", b"")]
    ['a.b', '[::1]', '']
    """
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "host":
            host = value.strip().lower()
            return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return ""


def _refusal(status: HTTPStatus) -> Answer:
    return Answer(status, TEXT, f"{status.phrase.lower()}\n".encode())


def _encoded(answer: Answer, *, with_body: bool) -> bytes:
    status, kind, body = answer
    head = (
        f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + (body if with_body else b"")
