"""Chapter 2: kube-proxy runs in the mode that was chosen, and its rules are really there."""

from facts.kube_proxy import KubeProxyParameters, KubeProxyRuntime


def test_runtime(kube_proxy: KubeProxyRuntime, parameters: KubeProxyParameters) -> None:
    assert not kube_proxy.faults
    assert kube_proxy.mode == parameters.mode
