"""Chapters 1 and 2: the kubelet is healthy now, and starts at boot."""

from facts.kubelet import Persisted, Runtime


def test_runtime(kubelet: Runtime) -> None:
    assert kubelet.healthy


def test_persisted(kubelet: Persisted) -> None:
    assert not kubelet.faults
