"""The proxy does to a link what it says: nothing in the lab could tell a fault that never happened."""

import socket
import time
from collections.abc import Iterator

import pytest

from deploy.local.ports import HOST, Ports
from tests.chaos.background import Background
from tests.chaos.proxy import Proxy
from tests.running import eventually


@pytest.fixture
def link() -> Iterator[tuple[Proxy, socket.socket, socket.socket]]:
    """The proxy, and both ends of a link through it."""
    port, background = Ports.free().orthanc, Background()
    with socket.create_server((HOST, 0)) as server:
        proxy = Proxy(background, port, server.getsockname()[1])
        proxy.listen()
        with socket.create_connection((HOST, port), 5) as client:
            accepted, _ = server.accept()
            with accepted:
                client.settimeout(0.3)
                accepted.settimeout(0.3)
                yield proxy, client, accepted
    proxy.refuse()
    background.close()


def test_it_passes_on_both_ways_and_the_end(link: tuple[Proxy, socket.socket, socket.socket]) -> None:
    proxy, client, server = link
    client.sendall(b"question")
    assert server.recv(100) == b"question"
    server.sendall(b"answer")
    assert client.recv(100) == b"answer"
    client.close()
    assert server.recv(100) == b""
    eventually(lambda: proxy.open() == 0)


def test_what_is_held_comes_when_it_is_healed_and_the_end_with_it(
    link: tuple[Proxy, socket.socket, socket.socket],
) -> None:
    proxy, client, server = link
    proxy.hold("to_server")
    client.sendall(b"question")
    client.close()
    with pytest.raises(TimeoutError):
        server.recv(100)
    assert proxy.holding("to_server") == 1
    assert proxy.holding("to_client") == 0
    proxy.heal()
    assert server.recv(100) == b"question"
    assert server.recv(100) == b""


def test_the_other_direction_flows_meanwhile(link: tuple[Proxy, socket.socket, socket.socket]) -> None:
    proxy, client, server = link
    proxy.hold("to_server")
    server.sendall(b"answer")
    assert client.recv(100) == b"answer"


def test_what_is_held_and_cut_never_comes(link: tuple[Proxy, socket.socket, socket.socket]) -> None:
    proxy, client, server = link
    proxy.hold("to_server")
    client.sendall(b"question")
    eventually(lambda: proxy.holding("to_server"))
    proxy.cut()
    proxy.heal()
    for end in (client, server):
        with pytest.raises(ConnectionResetError):
            end.recv(100)


def test_a_fault_of_one_service_leaves_others_alone(link: tuple[Proxy, socket.socket, socket.socket]) -> None:
    proxy, client, server = link
    proxy.hold(by="upload")
    proxy.cut(by="upload")
    client.sendall(b"question")
    assert server.recv(100) == b"question"


def test_delayed_pieces_keep_their_order(link: tuple[Proxy, socket.socket, socket.socket]) -> None:
    proxy, client, server = link
    proxy.delay(0.2)
    began = time.monotonic()
    client.sendall(b"1")
    time.sleep(0.05)
    proxy.delay(0)
    client.sendall(b"2")
    received = b""
    while len(received) < 2:
        received += server.recv(100)
    assert received == b"12"
    assert time.monotonic() - began > 0.15  # the loop's clock is a little behind


def test_refused_as_by_nobody(link: tuple[Proxy, socket.socket, socket.socket]) -> None:
    proxy, client, _ = link
    port = client.getpeername()[1]
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port), 5)
    proxy.heal()
    socket.create_connection((HOST, port), 5).close()


def test_the_background_ends() -> None:
    background = Background()
    assert background._thread.is_alive()
    background.close()
    assert not background._thread.is_alive()


def test_a_half_open_link_is_silent_and_a_new_one_works(link: tuple[Proxy, socket.socket, socket.socket]) -> None:
    proxy, client, server = link
    port = client.getpeername()[1]
    proxy.half_open()
    for end, other in ((client, server), (server, client)):
        end.sendall(b"heartbeat")
        with pytest.raises(TimeoutError):
            other.recv(100)
    assert proxy.open() == 1
    with socket.create_server((HOST, 0)) as another:
        proxy.lead_to(another.getsockname()[1])
        with socket.create_connection((HOST, port), 5) as fresh:
            accepted, _ = another.accept()
            with accepted:
                fresh.sendall(b"question")
                assert accepted.recv(100) == b"question"
