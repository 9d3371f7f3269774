"""Chapter 1: each master's own apiserver is ready, whatever the others are."""

from facts.apiserver import Runtime


def test_runtime(apiserver: Runtime) -> None:
    assert apiserver.ready
