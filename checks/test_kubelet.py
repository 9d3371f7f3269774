"""Chapters 1 and 2: the kubelet is healthy now, and starts at boot."""

from facts.kubelet import KubeletPersisted, KubeletRuntime


def test_runtime(kubelet: KubeletRuntime) -> None:
    assert kubelet.healthy


def test_persisted(kubelet: KubeletPersisted) -> None:
    assert not kubelet.faults
