"""Who listens where, as a real kernel tells it."""

import socket
import subprocess
from pathlib import Path

import pytest

from facts.cluster import kubernetes
from hale.model.evidence import Evidence, HostView, Output


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="not Linux")
def test_a_port_that_two_processes_share_has_the_name_of_one() -> None:
    """As haproxy's has while it is begun, or reloaded."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with subprocess.Popen(["sleep", "60"], pass_fds=(server.fileno(),)) as other:
            try:
                done = subprocess.run(
                    ["sh", "-c", kubernetes.probe(stacked=True).script],
                    check=True,
                    capture_output=True,
                    text=True,
                )
            finally:
                other.kill()
    output = Output("kubernetes.node", 0, done.stdout, "", 0.0)
    evidence = Evidence("m1", outputs={output.name: output})
    node = kubernetes.read(HostView(evidence, kubernetes.SUBJECT))
    assert node.ports[port] in {"sleep", Path("/proc/self/comm").read_text().strip()}
