"""Beyond the baseline: the components' ports are free before a host joins, and open after."""

from facts.ports import PortsRuntime


def test_runtime(ports: PortsRuntime) -> None:
    assert not ports.wrong
