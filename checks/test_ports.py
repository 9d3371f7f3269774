"""Beyond the document: the components' ports are free before a host joins, and open after."""

from facts.ports import Runtime


def test_runtime(ports: Runtime) -> None:
    assert not ports.wrong
