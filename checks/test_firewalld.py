"""Chapter 7: no firewalld beside the rules of kube-proxy and the network."""

from facts.firewalld import FirewalldPersisted, FirewalldRuntime


def test_runtime(firewalld: FirewalldRuntime) -> None:
    assert not firewalld.running


def test_persisted(firewalld: FirewalldPersisted) -> None:
    assert not firewalld.start_triggers
