"""Clients that dawdle, send too much or ask too often harm neither the worker nor prompt ones."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from stream.host import serving
from stream.host.descriptors import allow_descriptors
from stream.host.serving import TEXT, Answer, TextServer, by_path

ROOT = Path(__file__).resolve().parents[2]
LARGE = 64 << 20  # bytes: more than the system holds for a reader that does not read
ANSWERS = {
    "/small": lambda: Answer(200, TEXT, b"small\n"),
    "/large": lambda: Answer(200, TEXT, bytes(LARGE)),
    "/broken": lambda: Answer(*(1 // 0,)),
}


@pytest.fixture
def server() -> Iterator[TextServer]:
    started = TextServer(socket.create_server(("127.0.0.1", 0)), by_path(ANSWERS))
    yield started
    started.close()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 30)


def get(port: int, path: str = "/small") -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        read: bytes = answer.read()
        return read


def rest(client: socket.socket) -> bytes:
    """All that still comes, until the server closes."""
    found = bytearray()
    with suppress(ConnectionError):
        while more := client.recv(1 << 20):
            found += more
    return bytes(found)


STARVED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
from stream.config import MetricsSettings
from stream.worker.telemetry.health import Health, HealthServer
from stream.worker.telemetry.metrics import Metrics
settings, metrics = MetricsSettings(port=0), Metrics()
with HealthServer(settings, Health(settings, metrics), metrics) as server:
    print(server.port, flush=True)
    for _ in sys.stdin:
        files = [open("/dev/null") for _ in range(100)]  # as a store would
        print(len(files), flush=True)
        while files:
            files.pop().close()
"""


def test_a_thousand_dripping_connections_leave_the_worker_its_descriptors() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STARVED],
        env={"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    clients = min(1_000, allow_descriptors() - 200)
    with process, ExitStack() as dripping:
        port = int(process.stdout.readline())
        for n in range(clients):
            client = dripping.enter_context(connected(port))
            with suppress(ConnectionError):
                client.sendall(b"GET /livez HTTP/1.1\r\nX: "[: 1 + n % 20])
            if n % 100 == 99:
                assert get(port, "/livez") == b"alive\n"
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "100\n"
        assert b"offerstream_ready" in get(port, "/metrics")
        process.stdin.close()
    assert process.returncode == 0


def test_who_never_ends_a_request_is_closed(
    server: TextServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SECONDS", 0.2)
    for begun in (b"", b"G", b"GET /small HTTP/1.1\r\n", b"GET /small HTTP/1.1\r\nHost: x\r\n"):
        with connected(server.port) as client:
            client.sendall(begun)
            assert rest(client) == b""
    assert get(server.port) == b"small\n"


def test_who_never_reads_is_closed(server: TextServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SECONDS", 0.5)
    with connected(server.port) as client:
        client.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        assert client.recv(1) == b"H"
        while server._open:
            assert get(server.port) == b"small\n"
        assert len(rest(client)) < LARGE


def test_who_reads_and_never_closes_is_closed(
    server: TextServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SECONDS", 0.5)
    with connected(server.port) as client:
        client.sendall(b"GET /small HTTP/1.1\r\n\r\n")
        assert rest(client).endswith(b"small\n")
        while server._open:
            assert get(server.port) == b"small\n"


def test_a_head_without_end_is_refused(server: TextServer) -> None:
    with connected(server.port) as client:
        with suppress(ConnectionError):
            client.sendall(b"GET /small HTTP/1.1\r\nX: " + bytes(100_000))
        answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert get(server.port) == b"small\n"


def test_of_many_requests_in_one_connection_the_first_is_answered(server: TextServer) -> None:
    with connected(server.port) as client:
        client.sendall(b"GET /small HTTP/1.1\r\n\r\n" * 1_000)
        answer = rest(client)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert answer.endswith(b"\r\n\r\nsmall\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (b"GET /small\r\n\r\n", b"400"),
        (b"GET /small HTTP/2.0\r\n\r\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"BREW /small HTTP/1.1\r\n\r\n", b"501"),
        (b"POST /small HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"501"),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"HEAD /small HTTP/1.0\r\n\r\n", b"200"),
    ],
)
def test_whatever_is_sent_is_answered(sent: bytes, status: bytes, server: TextServer) -> None:
    with connected(server.port) as client:
        client.sendall(sent)
        answer = rest(client)
    assert answer.split(b" ")[1] == status
    assert (b"small" in answer) == sent.startswith(b"GET /small HTTP/1.1")


def test_an_answer_that_fails_leaves_the_others(server: TextServer) -> None:
    with connected(server.port) as client:
        client.sendall(b"GET /broken HTTP/1.1\r\n\r\n")
        assert rest(client) == b""
    assert get(server.port) == b"small\n"


def test_there_are_no_more_connections_than_a_share_of_the_descriptors(
    server: TextServer,
) -> None:
    with ExitStack() as idle:
        for _ in range(200):
            idle.enter_context(connected(server.port))
        assert get(server.port) == b"small\n"
        assert len(server._open) <= serving.CONNECTIONS
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert limit // serving.SHARE >= serving.CONNECTIONS
