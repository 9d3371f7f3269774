"""Chapter 1: the load balancer in front of the apiservers knows every master, and finds it up."""

from facts.load_balancer import Persisted, Runtime


def test_runtime(load_balancer: Runtime) -> None:
    assert load_balancer.backends
    assert not load_balancer.faults


def test_persisted(load_balancer: Persisted) -> None:
    assert load_balancer.enabled
    assert not load_balancer.faults
