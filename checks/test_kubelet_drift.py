"""Beyond the baseline: the kubelets of a group have the same configuration."""

from facts.kubelet_drift import KubeletDriftPersisted


def test_persisted(kubelet_drift: KubeletDriftPersisted) -> None:
    assert not kubelet_drift.drift
