"""The driver: a shop's worker in the caller's process, at the caller's pace."""

from __future__ import annotations

import gc
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from stream.broker.local.log import Log
from stream.client.book import OfferBook
from stream.client.lookup import find_decisions, find_offers
from stream.client.offer import Recall
from stream.config import ConfigError, Settings
from stream.domain.text import tidy
from stream.insight.changelog import read_customer
from stream.insight.customer import known_of
from stream.insight.explaining import Explanation, explain
from stream.testing.background import Background
from stream.testing.image import Dying, copy_log
from stream.testing.options import Campaigns, Given, Items, campaigns_of, items_of, settings_of
from stream.testing.posting import (
    EVENT_KEY,
    Event,
    Key,
    Post,
    milliseconds,
    moment,
    topic_of,
)
from stream.testing.ticking import NAME, Ticks, next_due
from stream.testing.topics import Entry, Learned, Offer, Reading, Refusal, read_offer
from stream.worker.checks.topics import made
from stream.worker.engine import Engine, Publication

START: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday at noon: no quiet hour
LIVES: Final = 4  # after which garbage is collected: a worker that ended is some 20 MB, in cycles
_lives = count(1)  # of all drivers of the process
IMAGE: Final = "image"  # where the log is copied to when the worker dies


class Driver:
    """A shop's worker, its topics and its time, in one context manager; no broker, no network.

    What is published is decided, learned and in use when the call returns, and depends on what was
    published before and on nothing else: the same events give the same offers, byte for byte.

    Parameters
    ----------
    settings
        Values by name, such as ``{"core.policy.offer_gap": 60}``, on top of
        `stream.testing.options.DEFAULTS`; or the path of a TOML file, or a
        :class:`stream.config.Settings`, that are taken as they are. The broker, the store and
        where data are is the driver's in any case.
    campaigns
        A folder of YAML files, or campaigns as the topic ``campaigns`` has them.
    catalog
        Products as the topic ``catalog`` has them.
    start
        The time at which the shop opens.
    directory
        Where its log is; what stands there is gone on with, and stays. None: a temporary
        directory, which is gone at the end.
    patience
        Seconds after which a call that does not come to its end raises ``TimeoutError``.

    Raises
    ------
    ConfigError
        Whatever is wrong with how it is used, in one line.

    Examples
    --------
    .. code-block:: python

        with Driver(campaigns="campaigns") as shop:
            shop.consent("anna")
            shop.view("anna", "pot")
            (offer,) = shop.offers()
    """

    def __init__(
        self,
        settings: Given = None,
        *,
        campaigns: Campaigns = (),
        catalog: Items = (),
        start: datetime = START,
        directory: Path | str | None = None,
        patience: float = 60.0,
    ) -> None:
        self._given, self._campaigns, self._catalog = settings, campaigns, catalog
        self._start, self._directory, self._patience = milliseconds(start), directory, patience
        self._open = ExitStack()
        self._engine: Engine | None = None
        self._dying: Dying | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            place = self._directory or stack.enter_context(
                TemporaryDirectory(prefix="offerstream-")
            )
            self._place = Path(place).absolute()
            self._settings = settings_of(self._given, self._place)
            self._post = Post(self._settings, self._start)
            self._ticks, self._reading = Ticks(self._settings), Reading(self._settings)
            self._loop = Background(self._patience)
            stack.callback(self._loop.close)
            stack.callback(self._stop, finish=False)
            self._run()
            self.apply(self._campaigns)
            self.stock(self._catalog)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    # ---------------------------------------------------------------------------------- events in

    def publish(
        self,
        topic: str,
        event: Event,
        key: Key = EVENT_KEY,
        headers: Sequence[tuple[str, bytes]] = (),
        at: datetime | None = None,
    ) -> Counter[str]:
        """Publish one record, and say what became of it.

        Parameters
        ----------
        topic
            ``clicks``, ``purchases``, ``feedback``, ``customers``, ``catalog`` or ``campaigns``.
        event
            In any form that the topic takes; bytes go as they are, None is a record with no value.
        key
            Where none is said, that of who or what the event is of, and empty if it names nobody;
            None is a record without a key.
        headers
            Of the record.
        at
            When an event arrives. Where none is said, when it happened, if that is not past: the
            driver's time moves to there.

        Returns
        -------
        Counter
            By how much the partitions' counts have grown: ``applied``, ``duplicate``, ``late``,
            ``suppressed`` or ``rejected`` for the event; ``offers``; ``denied:<reason>`` and
            ``passed:<reason>`` for why there is none; and more, as ``offerstream customers`` shows.
        """
        return self._send([self._post.record(topic, event, key, tuple(headers), at)])

    def publish_all(self, events: Iterable[tuple[str, Event]]) -> Counter[str]:
        """Publish many events, each with its topic, in one go; as `publish`.

        A worker merges the topics by time, and what events teach is in use behind the last of them.
        """
        return self._send(
            [self._post.record(topic, event, EVENT_KEY, (), None) for topic, event in events]
        )

    def view(
        self, customer_id: str, product_id: str, event: str = "view", **fields: Any
    ) -> Counter[str]:
        """Have a customer look at a product now, or ``event="add_to_cart"``; as `publish`."""
        who = {"customer_id": customer_id, "event": event, "product_id": product_id}
        return self.publish("clicks", self._post.named() | who | fields)

    def buy(
        self, customer_id: str, *products: str | Mapping[str, Any], **fields: Any
    ) -> Counter[str]:
        """Have a customer order products now: ids, or lines of an order; as `publish`."""
        named = self._post.named()
        lines = [{"product_id": one} if isinstance(one, str) else dict(one) for one in products]
        order = {
            "customer_id": customer_id,
            "event": "purchase",
            "order_id": f"order-{named['event_id']}",
            "products": lines,
        }
        return self.publish("purchases", named | order | fields)

    def respond(self, offer: Offer, event: str = "impression", **fields: Any) -> Counter[str]:
        """Have an offer be shown now, or ``"click"`` or ``"dismiss"``; as `publish`."""
        said = {"customer_id": offer.customer_id, "event": event, "offer_id": offer.offer_id}
        return self.publish("feedback", self._post.named() | said | fields)

    def tell(self, customer_id: str, **fields: Any) -> Counter[str]:
        """Say something of a customer now, such as ``traits={"tier": "gold"}``; as `publish`."""
        return self.publish("customers", self._post.named() | {"customer_id": customer_id} | fields)

    def consent(
        self, customer_id: str, *, profiling: bool = True, offers: bool = True
    ) -> Counter[str]:
        """Have a customer allow profiling and offers now, or take that back; as `publish`."""
        return self.tell(customer_id, consent={"profiling": profiling, "offers": offers})

    def erase(self, customer_id: str) -> Counter[str]:
        """Have a customer be forgotten now; as `publish`."""
        return self.tell(customer_id, erase=True)

    def apply(self, campaigns: Campaigns) -> None:
        """Put campaigns in force, or change them: a folder of YAML files, or campaigns.

        Others stay; ``publish("campaigns", None, key=...)`` takes one away.

        Raises
        ------
        ConfigError
            If one is none; none of them is in force then.
        """
        self._refer("campaigns", campaigns_of(campaigns, self._settings))

    def stock(self, products: Items) -> None:
        """Put products into the catalog, or change them; as `apply`."""
        self._refer("catalog", items_of(products, self._settings))

    # --------------------------------------------------------------------------------- offers out

    def offers(self) -> list[Offer]:
        """The offers that were made since the last call, partition by partition, each once."""
        log = self._log
        return list(self._reading.offers(log))

    def recalls(self) -> list[Recall]:
        """The recalls of offers since the last call."""
        log = self._log
        return list(self._reading.recalls(log))

    def open_offers(self, customer_id: str) -> list[Offer]:
        """What an ad server may show a customer now, newest first."""
        book, name = OfferBook(), tidy(customer_id)
        for entry in Reading(self._settings).new(self._log, "offers"):
            if entry.key == name.encode():
                book.take(entry.key, entry.value, self._post.now)
        return [read_offer(value) for value in book.open(name, self._post.now)]

    def refusals(self) -> list[Refusal]:
        """What was refused since the last call, or came too late, and why."""
        log = self._log
        return list(self._reading.refusals(log))

    def read(self, topic: str) -> list[Entry]:
        """The records of any topic since the last call for it, as they stand there."""
        log = self._log
        return list(self._reading.new(log, topic_of(topic)))

    # -------------------------------------------------------------------------------- what is kept

    def customer(self, customer_id: str) -> dict[str, Any] | None:
        """What ``offerstream customer --json`` tells of a customer; None if nothing is kept."""
        name = tidy(customer_id)

        def look(settings: Settings) -> dict[str, Any] | None:
            state = read_customer(settings, name).states.get(name)
            if state is None:
                return None
            found = find_offers(settings, name, self._post.now)
            decided = find_decisions(settings, name)
            return known_of(name, state, settings.core, self._post.now, found, decided)

        with self.copy() as settings:
            return self._loop.apart(lambda: look(settings), f"what is known of {customer_id!r}")

    def customers(self) -> list[str]:
        """The ids of all of whom anything is kept, in their order, but the driver's own."""
        names = [name for name, _ in self._running.customers()]
        return sorted(name for name in names if not name.startswith(NAME))

    def explain(self, offer: Offer) -> Explanation:
        """What ``offerstream explain`` finds: what led to an offer, which is decided again."""
        with self.copy() as settings:
            return self._loop.apart(
                lambda: explain(settings, offer.offer_id, offer.customer_id),
                f"how offer {offer.offer_id} was made",
            )

    def models(self) -> Learned:
        """What was learned so far."""
        models = self._running.app.view.world.models
        return Learned(models.learned_through, dict(models.versions), models.segment_names)

    def counts(self) -> Counter[str]:
        """What became of all records since the beginning; see `publish`.

        Those by which time passed are among them.
        """
        return Counter(self._running.status().counts)

    def metrics(self) -> dict[str, float]:
        """The worker's metrics, with their labels, as a scrape would have them now.

        They begin anew with each start of the worker.
        """
        lines = self._running.metrics.text().decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    @property
    def settings(self) -> Settings:
        """The settings of the worker."""
        return self._settings

    @contextmanager
    def copy(self) -> Iterator[Settings]:
        """A copy of the shop's log as it stands now, for whatever reads one: settings that name it.

        ``offerstream ... --broker`` takes their ``broker``. The copy is gone at the end.
        """
        running = self._running
        with TemporaryDirectory(prefix="offerstream-copy-") as place:
            self._loop.run(self._copied(Path(place) / "log"), "a copy of the log")
            yield replace(
                running.settings, broker=f"local://{place}/log", data_dir=Path(place) / "state"
            )

    # ---------------------------------------------------------------------------------------- time

    @property
    def now(self) -> datetime:
        """The shop's time: that of its newest event, or to which it was advanced."""
        return moment(self._post.now)

    def advance(self, to: datetime | None = None, **span: float) -> Counter[str]:
        """Let time pass to a moment, or by ``timedelta(**span)``, and what is due meanwhile come.

        A worker's time is that of events. So events of a customer of the driver's own are
        published, who allows nothing: at each moment in which a reminder, a win-back or a label is
        due, as in a shop where somebody always comes by, and at the end, in each partition. Where
        the worker dies on the way, time stops there.

        Returns
        -------
        Counter
            As `publish`, without those events.
        """
        until = self._until(to, span)
        before, ticks, partitions = self.counts(), 0, range(self._settings.partitions)
        while not self._has_died():
            waits = {number: next_due(self._running, number) for number in partitions}
            due = [number for number in partitions if waits[number] <= until]
            if not due:
                break
            first = min(due, key=waits.__getitem__)
            self._post.now = max(self._post.now, waits[first])
            ticks += self._tick(first)
        if not self._has_died():
            self._post.now = until
            ticks += sum(map(self._tick, partitions))
        return self._settled(before) - Counter(applied=ticks)

    def _until(self, to: datetime | None, span: Mapping[str, float]) -> int:
        now = self._post.now
        if (to is None) != bool(span):
            raise ConfigError("advance to a moment, or by days, hours, minutes or seconds")
        try:
            until = now + round(timedelta(**span).total_seconds() * 1000)
        except (TypeError, OverflowError):
            names = ", ".join(span)
            raise ConfigError(
                f"cannot advance by {names}: say days, hours, minutes or seconds"
            ) from None
        until = until if to is None else milliseconds(to)
        if until < now:
            raise ConfigError(f"time goes on, not back: it is {moment(now)} already")
        return until

    # ------------------------------------------------------------------------- crashes and restarts

    @property
    def is_running(self) -> bool:
        """Whether the worker runs: not after a crash, until `restart`."""
        return self._engine is not None

    def crash(self, *, after: int = 0) -> None:
        """Have the worker die, as by ``kill -9``: now, or right behind a write that is to come.

        The files of its log are copied as they stand at that moment, and `restart` goes on from
        the copy: nothing is flushed, committed or acknowledged any more. The process itself lives
        on, so what it did behind that moment is thrown away unseen, and what only a dying process
        or machine brings about, such as a write that is torn or a disk that forgets, is not shown.

        Parameters
        ----------
        after
            So many writes to topics from now on, which the next calls cause, are kept; the first is
            that of the published record itself. 0: now. The call in which it dies tells nothing.
        """
        if after < 0:
            raise ConfigError("after is how many writes are kept: 0 or more")
        log, image = self._log, self._place / IMAGE
        self._disarm()
        if after == 0:
            self._loop.run(self._copied(image), "a copy of the log")
            self._die()
        else:
            self._dying = Dying(log, image, after)

    def restart(self) -> None:
        """Start the worker again: what a crash left, or, where it runs, what an orderly end leaves.

        On return all that was published is decided and learned.
        """
        self._disarm()
        self._stop(finish=True)
        self._run()

    # ------------------------------------------------------------------------------------- private

    @property
    def _running(self) -> Engine:
        if self._engine is None:
            raise RuntimeError(
                "the shop's worker is down after a crash: call restart() first"
                if hasattr(self, "_loop")
                else "the driver is not open: use it with 'with'"
            )
        return self._engine

    @property
    def _log(self) -> Log:
        return self._running.app.open_log()

    def _run(self) -> None:
        async def started() -> Engine:
            await made(self._settings)
            engine = await Engine(self._settings, lockstep=True).__aenter__()
            await engine.settle()
            return engine

        self._engine = self._loop.run(started(), "the start of the worker")
        if next(_lives) % LIVES == 0:
            gc.collect()

    def _stop(self, *, finish: bool) -> None:
        """End the worker, in good order or not."""
        engine, self._engine = self._engine, None
        if engine is not None:
            kind = None if finish else RuntimeError
            self._loop.run(engine.__aexit__(kind), "the end of the worker")

    def _die(self) -> None:
        """Put what was there at the moment of the crash in the place of what came later."""
        self._stop(finish=False)
        log = self._place / "log"
        shutil.rmtree(log)
        (self._place / IMAGE).rename(log)

    def _disarm(self) -> None:
        if self._dying is not None:
            self._dying.disarm()
            self._dying = None

    async def _copied(self, target: Path) -> None:
        """Copy the log in its own event loop, so that nothing is appended meanwhile."""
        copy_log(self._log.directory, target)

    def _refer(self, topic: str, values: Iterator[tuple[str, bytes]]) -> None:
        records: list[Publication] = [
            (topic, name.encode(), value, (), None) for name, value in values
        ]
        if records:
            self._send(records)

    def _send(self, records: Sequence[Publication]) -> Counter[str]:
        before = self.counts()
        self._loop.run(self._running.publish(records), "what became of the events")
        return self._settled(before)

    def _settled(self, before: Counter[str]) -> Counter[str]:
        """Have all that was published be learned; how counts have grown since."""
        engine = self._running
        self._loop.run(engine.settle(), "what was learned")
        after = self.counts()
        if self._has_died():
            self._dying = None
            self._die()
            return Counter()
        return Counter({name: n for name in after if (n := after[name] - before[name])})

    def _has_died(self) -> bool:
        return self._dying is not None and self._dying.done

    def _tick(self, partition: int) -> int:
        """Have time be what it is now in a partition; how many events that took."""
        record = self._ticks.tick(partition, self._post.now)
        self._loop.run(self._running.publish([record]), "the passing of time")
        return 1
