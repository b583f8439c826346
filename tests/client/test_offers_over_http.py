"""Offers over HTTP: the worker's own bytes, not who is a customer, and no stranger's pages."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from stream.client.book import OfferBook
from stream.client.http import offers_route
from stream.client.reader import ReaderStopped
from stream.domain.text import tidy
from stream.host.serving import LOOPBACK, TextServer
from tests.builders import NOON
from tests.client.serving_offers import an_offer

ODD = "küche/7 ?&#"


class Shelf:
    """What a reader knows, without the reader."""

    def __init__(self) -> None:
        self.book, self.stopped = OfferBook(), False

    def check(self) -> None:
        if self.stopped:
            raise ReaderStopped("the reader no longer follows the offers")

    def documents(self, customer_id: str) -> list[bytes]:
        self.check()
        return self.book.open(tidy(customer_id), NOON)


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    for offer in (an_offer("of1"), an_offer("of2", issued=NOON + 1), an_offer("of3", ODD)):
        shelf.book.take(*offer, NOON)
    return shelf


@pytest.fixture
def port(shelf: Shelf) -> Iterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = TextServer(listening, offers_route(shelf), name="offers", hosts=LOOPBACK)
    yield server.port
    server.close()


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    is_json = answer.getheader("Content-Type") == "application/json"
    return answer.status, json.loads(body) if is_json else body.decode()


def test_a_customers_offers_are_the_workers_own_words(port: int) -> None:
    status, found = get(port, "/customers/c1/offers")
    said = [json.loads(an_offer("of2", issued=NOON + 1)[1]), json.loads(an_offer("of1")[1])]
    assert (status, found) == (200, {"customer_id": "c1", "offers": said})


def test_whom_nobody_knows_has_no_offers(port: int) -> None:
    assert get(port, "/customers/nobody/offers") == (200, {"customer_id": "nobody", "offers": []})


def test_any_id_can_be_asked_for(port: int) -> None:
    status, found = get(port, f"/customers/{quote(ODD, safe='')}/offers?x=1")
    assert status == 200
    assert [offer["offer_id"] for offer in found["offers"]] == ["of3"]


def test_bid_requests_get_user_data_without_the_customers_id(port: int) -> None:
    status, found = get(port, "/customers/c1/offers?format=openrtb")
    assert status == 200
    assert "c1" not in json.dumps(found)
    segments, offers = found["user"]["data"]
    assert segments["segment"] == [{"id": "3", "name": "frugal"}]
    (item,) = offers["segment"]
    assert (item["id"], item["name"], item["value"]) == ("p1", "Washer", "0.250000")
    assert item["ext"]["final_price_minor"] == 1799
    assert item["ext"]["offer_id"] == "of2"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/customers/%ff/offers", 400),
        ("/customers/c1/offers?format=xml", 400),
        ("/customers/c1/offers?" + "&".join(["a=1"] * 9), 400),
        ("/customers//offers", 404),
        ("/customers/c1", 404),
        ("/customers/c1/offers/", 404),
        ("/", 404),
    ],
)
def test_what_is_no_question_is_refused(port: int, path: str, status: int) -> None:
    assert get(port, path)[0] == status


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", ""])
def test_on_loopback_a_name_that_points_here_reads_nothing(port: int, host: str) -> None:
    assert get(port, "/customers/c1/offers", host)[0] == 421
    assert get(port, "/customers/c1/offers", f"localhost:{port}")[0] == 200


def test_a_reader_that_gave_up_serves_nothing(port: int, shelf: Shelf) -> None:
    assert get(port, "/livez") == (200, "alive\n")
    shelf.stopped = True
    assert get(port, "/customers/c1/offers")[0] == 503
    assert get(port, "/livez")[0] == 503
