"""Who listens where does not change while a connection waits to be taken."""

import socket
import subprocess
from pathlib import Path

import pytest

from facts import ports


def of(port: int) -> list[list[str]]:
    """What is told of it, but for the line's number: others begin to listen meanwhile."""
    done = subprocess.run(["sh", "-c", ports.SCRIPT], check=True, capture_output=True, text=True)
    return [line.split()[1:] for line in done.stdout.splitlines() if f":{port:04X} " in line]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="not Linux")
def test_a_connection_that_waits_changes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        before = of(port)
        with socket.create_connection(("127.0.0.1", port)):  # nobody accepts it
            assert of(port) == before
    assert [words[2] for words in before] == [ports.LISTEN]
    assert of(port) == []
