"""Topics on a real Kafka, made by a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic


@asynccontextmanager
async def admin_of(address: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yield an admin client, closed at the end."""
    client = AIOKafkaAdminClient(bootstrap_servers=address)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create_topics(
    address: str, *names: str, partitions: int = 1, copies: int = 1, **config: str
) -> None:
    """Create topics; settings as Kafka names them, with ``_`` for the dots."""
    settings = {name.replace("_", "."): value for name, value in config.items()}
    new = [NewTopic(name, partitions, copies, topic_configs=settings) for name in names]
    async with admin_of(address) as client:
        answer = await client.create_topics(new)
    refused = [error for error in answer.topic_errors if error[1]]
    assert not refused, refused
