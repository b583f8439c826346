"""Where a trainer works: in this process, or in one of its own, beside the worker's.

Learning takes a quarter of the interpreter's time, in pieces of many milliseconds, and packing
what was learned holds its lock; in a process of its own neither keeps a customer waiting.

The process speaks over its standard input and output: frames of eight bytes of length, big-endian,
and a message in MessagePack. It ends when its input does, so it never outlives its worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from threading import Thread
from time import monotonic
from typing import Any, BinaryIO, Literal, Protocol, Self, TypeAlias, TypeVar, cast

import msgspec

from stream.codec.examples import MOST_PARTITIONS
from stream.codec.snapshots.models import Published, pack, unpack
from stream.config import LearningSettings, LogFormat, Secret
from stream.host.allocator import let_go_of_large_blocks
from stream.host.discretion import keep_secret
from stream.host.environment import PREFIX
from stream.host.extensions import challengers_in_force
from stream.host.logs import start_logging
from stream.worker.learning.trainer import Lessons, Place, Publication, Rules, Trainer

T = TypeVar("T")
Question: TypeAlias = Literal["place", "publish", "rules"]
LENGTH = 8
PIECE = 1 << 20  # bytes that are copied in one go: models are a hundred times as many


class Training(Protocol):
    """A trainer, wherever it works; see there."""

    @property
    def waited(self) -> float: ...  # noqa: D102
    async def begin(  # noqa: D102
        self,
        settings: LearningSettings,
        seed: int,
        slot: str,
        published: Published | None,
        partitions: int,
        challengers: Sequence[str],
    ) -> None: ...
    async def learn(self, lessons: Lessons) -> None: ...  # noqa: D102
    async def place(self) -> Place: ...  # noqa: D102
    async def publish(self) -> Publication: ...  # noqa: D102
    async def write_full(self) -> None: ...  # noqa: D102
    async def rules(self) -> Rules: ...  # noqa: D102
    async def end(self) -> None: ...  # noqa: D102


class Here:
    """A trainer in this process; what is seldom and takes long is done in a thread."""

    trainer: Trainer
    waited = 0.0  # it shares the fate of the event loop

    async def begin(
        self,
        settings: LearningSettings,
        seed: int,
        slot: str,
        published: Published | None,
        partitions: int = MOST_PARTITIONS,
        challengers: Sequence[str] = (),
    ) -> None:
        """Make the trainer, of this."""
        made = settings, seed, slot, published, partitions
        own = challengers_in_force(challengers, seed)
        self.trainer = await asyncio.to_thread(Trainer, *made, own)

    async def learn(self, lessons: Lessons) -> None:
        """Learn at once, and let others have their turn between two lessons."""
        for lesson in lessons:
            self.trainer.learn([lesson])
            await asyncio.sleep(0)

    async def place(self) -> Place:
        """Where it stands."""
        return self.trainer.place()

    async def publish(self) -> Publication:
        """What readers need."""
        return await asyncio.to_thread(self.trainer.publish)

    async def write_full(self) -> None:
        """Write the full snapshot that is due."""
        await asyncio.to_thread(self.trainer.write_full)

    async def rules(self) -> Rules:
        """The rules that stand."""
        return await asyncio.to_thread(self.trainer.rules)

    async def end(self) -> None:
        """Do nothing: it is gone with its last reference."""


class Begin(msgspec.Struct, frozen=True, array_like=True):
    """The first message: what the trainer is made of, ``published`` packed, challengers named."""

    settings: LearningSettings
    seed: int
    slot: str
    published: bytes | None
    partitions: int = MOST_PARTITIONS
    challengers: tuple[str, ...] = ()


class Learn(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Learn; not answered."""

    lessons: list[tuple[int, bytes | None]]


class WriteFull(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Write the full snapshot that is due, beside what follows; not answered."""


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Answer with what this method of the trainer returns."""

    what: Question


Message: TypeAlias = Learn | WriteFull | Ask


class TrainerEnded(RuntimeError):
    """The trainer's process is no more; what it said last is in the log."""


class Apart:
    """A trainer in a process of its own.

    What is learned is on its way when `learn` returns, and learned before anything that is asked
    afterwards is answered. It is kept back by no more than the pipe holds.

    Raises
    ------
    TrainerEnded
        By every method, if the process is no more, or is killed for its silence: it neither took
        nor answered anything for ``answer_timeout``.
    """

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._requests, self._replies = process.stdin, process.stdout
        self._asking, self._writing = asyncio.Lock(), asyncio.Lock()
        self._patience = LearningSettings().answer_timeout
        self._owing: dict[object, float] = {}

    @classmethod
    async def started(cls, form: LogFormat = "console") -> Self:
        """Start a process; it takes a second or two until it reads what it is sent."""
        command = (sys.executable, "-P", "-m", __name__, form)
        # What it needs it is told in its first message: an environment shows to others.
        environ = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
        process = await asyncio.create_subprocess_exec(
            # Ctrl-C goes to the terminal's whole group; it is for the worker alone.
            *command,
            stdin=PIPE,
            stdout=PIPE,
            limit=PIECE,
            env=environ,
            start_new_session=True,
        )
        return cls(process)

    @property
    def waited(self) -> float:
        """Seconds for which it has owed an answer, or has not taken what it is sent."""
        return monotonic() - min(self._owing.values()) if self._owing else 0.0

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def begin(
        self,
        settings: LearningSettings,
        seed: int,
        slot: str,
        published: Published | None,
        partitions: int = MOST_PARTITIONS,
        challengers: Sequence[str] = (),
    ) -> None:
        """Have the trainer made, of this."""
        self._patience = settings.answer_timeout
        packed = None if published is None else await asyncio.to_thread(pack, published)
        begin = Begin(settings, seed, slot, packed, partitions, tuple(challengers))
        await self._write(await asyncio.to_thread(_framed, begin))

    async def learn(self, lessons: Lessons) -> None:
        """Have these learned."""
        await self._send(Learn(list(lessons)))

    async def place(self) -> Place:
        """Where it stands."""
        return await self._asked("place", Place)

    async def publish(self) -> Publication:
        """What readers need."""
        return await self._asked("publish", Publication)

    async def write_full(self) -> None:
        """Have the full snapshot written that is due."""
        await self._send(WriteFull())

    async def rules(self) -> Rules:
        """The rules that stand."""
        return await self._asked("rules", Rules)

    async def end(self) -> None:
        """End the process: what it holds is in the log of examples."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _asked(self, what: Question, kind: type[T]) -> T:
        # Who asked may be cancelled; the answer must be read all the same: the next would get it.
        return await asyncio.shield(self._answer(what, kind))

    async def _answer(self, what: Question, kind: type[T]) -> T:
        async with self._asking, self._heeded():
            await self._send(Ask(what))
            left, pieces = int.from_bytes(await self._replies.readexactly(LENGTH)), list[bytes]()
            while left:
                pieces.append(await self._replies.readexactly(min(left, PIECE)))
                left -= len(pieces[-1])
        return await asyncio.to_thread(lambda: msgspec.msgpack.decode(b"".join(pieces), type=kind))

    async def _send(self, message: Message) -> None:
        await self._write(_framed(message))

    async def _write(self, frame: bytes) -> None:
        # Who writes may be cancelled; what was begun is written to its end.
        await asyncio.shield(self._write_whole(frame))

    async def _write_whole(self, frame: bytes) -> None:
        async with self._writing, self._heeded():
            for at in range(0, len(frame), PIECE):
                self._requests.write(frame[at : at + PIECE])
                await self._requests.drain()

    @asynccontextmanager
    async def _heeded(self) -> AsyncIterator[None]:
        """Something that the process has to do for the block to end."""
        self._owing[ticket := object()] = monotonic()
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError:
            self._process.kill()
            silent = f"has not answered for {self._patience:g} s"
            raise TrainerEnded(f"the trainer's process {silent}, and is killed") from None
        except (ConnectionError, asyncio.IncompleteReadError):
            code = await self._process.wait()
            raise TrainerEnded(f"the trainer's process ended with {code}") from None
        finally:
            del self._owing[ticket]


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Do what the messages say, until there are no more."""
    begin = msgspec.msgpack.decode(_read(requests), type=Begin, dec_hook=_told)
    keep_secret([begin.settings.snapshot_key])
    published = None if begin.published is None else unpack(begin.published)
    own = challengers_in_force(begin.challengers, begin.seed)
    trainer = Trainer(begin.settings, begin.seed, begin.slot, published, begin.partitions, own)
    writing = Thread()
    decode = msgspec.msgpack.Decoder(Message).decode
    while frame := _read(requests):
        match decode(frame):
            case Learn(lessons):
                trainer.learn(lessons)
            case Ask(what):
                replies.write(_framed(getattr(trainer, what)()))
                replies.flush()
            case WriteFull() if not writing.is_alive():
                writing = Thread(target=trainer.write_full, daemon=True)
                writing.start()


def main(form: LogFormat) -> None:
    """Serve the worker that started this process; it logs as that does."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the worker is told, too, and drains first
    let_go_of_large_blocks()
    start_logging("warning", form=form)
    with os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(2, 1)  # whatever prints must not write among the replies
        serve(sys.stdin.buffer, replies)


def _framed(message: object) -> bytes:
    data = msgspec.msgpack.encode(message, enc_hook=_secret)
    return len(data).to_bytes(LENGTH) + data


def _read(stream: BinaryIO) -> bytes:
    """The next frame's message; nothing at the end."""
    length = stream.read(LENGTH)
    return stream.read(int.from_bytes(length)) if length else b""


def _secret(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(type(value))


def _told(kind: type[Any], value: str) -> object:
    return kind(value)  # a secret


if __name__ == "__main__":
    main(cast(LogFormat, sys.argv[1]))
