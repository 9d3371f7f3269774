"""Chapter 7: no firewalld beside the rules of kube-proxy and the network."""

from facts.firewalld import Persisted, Runtime


def test_runtime(firewalld: Runtime) -> None:
    assert not firewalld.running


def test_persisted(firewalld: Persisted) -> None:
    assert not firewalld.starts
