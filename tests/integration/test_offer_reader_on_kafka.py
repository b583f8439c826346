"""The offer reader on a real Kafka: no word is lost, not in a restart of the broker either."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

from stream.client import OfferReader
from stream.client.lookup import find_offers
from stream.client.reader import wall_clock
from stream.config import Settings
from tests.client.serving_offers import a_recall, an_offer
from tests.kafka.broker import Broker
from tests.kafka.topics import create_topics
from tests.waiting import eventually


async def test_it_follows_through_a_restart_of_the_broker(broker: Broker) -> None:
    settings = Settings(broker=f"kafka://{broker.address}")
    await create_topics(broker.address, "offers", partitions=4)
    now = wall_clock()

    async def put(*records: tuple[bytes, bytes]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=broker.address)
        async with producer:
            for key, value in records:
                await producer.send_and_wait("offers", value, key=key)

    await put(
        *(an_offer(f"of{n}", f"c{n}", now) for n in range(20)),
        an_offer("gone", "c1", now),
        a_recall("gone", "c1", now),
    )
    async with OfferReader(settings) as offers:

        async def look(customer: str = "c1") -> list[str]:
            return [offer.offer_id for offer in offers.for_customer(customer)]

        assert [await look(f"c{n}") for n in range(20)] == [[f"of{n}"] for n in range(20)]
        await put(an_offer("of1", "c1", now), an_offer("new", "c1", now + 1))
        await eventually("a new offer", look, lambda ids: ids == ["new", "of1"])
        broker.restart()
        await put(a_recall("new", "c1", now + 2))
        await eventually("a recall after the restart", look, lambda ids: ids == ["of1"])
        assert offers.counts["duplicate"] == 1
    found = await asyncio.to_thread(find_offers, settings, "c1", now + 3, now - 3_600_000)
    assert len(found.open) == 1
    assert [type(said).__name__ for said in found.made] == ["Offer", "Offer", "Recall", "Offer",
                                                            "Recall"]  # fmt: skip
