"""Chapter 1: the load balancer in front of the apiservers knows every master, and finds it up."""

from facts.load_balancer import LoadBalancerPersisted, LoadBalancerRuntime


def test_runtime(load_balancer: LoadBalancerRuntime) -> None:
    assert load_balancer.backends
    assert not load_balancer.faults


def test_persisted(load_balancer: LoadBalancerPersisted) -> None:
    assert load_balancer.enabled
    assert not load_balancer.faults
