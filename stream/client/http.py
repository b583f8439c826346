"""Offers over HTTP, for whoever has no Kafka client at hand.

``GET /customers/{id}/offers`` answers with the customer's open offers, newest first; with
``?format=openrtb`` as OpenRTB's ``user.data``. ``/livez`` says whether the offers are followed. Of
whom nothing is open, known or not, the list is empty: nobody learns who is a customer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import parse_qs, unquote_to_bytes

import orjson

from stream.client.offer import read_offer
from stream.client.openrtb import user_data
from stream.client.reader import ReaderStopped
from stream.host.serving import TEXT, Answer

JSON: Final = "application/json"
_PATH: Final = re.compile(r"/customers/([^/]{1,1600})/offers")  # an id has 128 characters


class Reads(Protocol):
    """What knows the open offers."""

    def documents(self, customer_id: str) -> list[bytes]:
        """A customer's open offers as JSON."""

    def check(self) -> None:
        """Raise `ReaderStopped` unless they are followed."""


def offers_route(reader: Reads) -> Callable[[str], Answer | None]:
    """Return the route of a :class:`stream.host.serving.TextServer` over a reader."""

    def route(target: str) -> Answer | None:
        path, _, query = target.partition("?")
        try:
            if path == "/livez":
                reader.check()
                return Answer(200, TEXT, b"alive\n")
            if found := _PATH.fullmatch(path):
                return _answer(reader, found[1], query)
        except ReaderStopped as error:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return None

    return route


def _answer(reader: Reads, quoted: str, query: str) -> Answer:
    try:
        customer_id = unquote_to_bytes(quoted).decode()
        form = parse_qs(query, max_num_fields=4).get("format", ["json"])[-1]
    except ValueError:  # UnicodeDecodeError is one
        return _refused(HTTPStatus.BAD_REQUEST, "the id is not UTF-8, or the query is too long")
    if form not in ("json", "openrtb"):
        return _refused(HTTPStatus.BAD_REQUEST, "format is json or openrtb")
    documents = reader.documents(customer_id)
    if form == "openrtb":
        body = orjson.dumps(user_data([read_offer(value) for value in documents]))
    else:
        body = listed(customer_id, documents)
    return Answer(200, JSON, body + b"\n")


def listed(customer_id: str, documents: Sequence[bytes]) -> bytes:
    """Return offers, as the worker wrote them, in one JSON object.

    >>> listed("c-7", [b'{"offer_id":"of-1"}'])
    b'{"customer_id":"c-7","offers":[{"offer_id":"of-1"}]}'
    """
    return b'{"customer_id":%b,"offers":[%b]}' % (orjson.dumps(customer_id), b",".join(documents))


def _refused(status: HTTPStatus, why: str) -> Answer:
    return Answer(status, JSON, orjson.dumps({"error": why}) + b"\n")
