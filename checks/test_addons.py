"""Chapter 2: dashboard, a second cluster, where the site asks for them."""

from facts.addons import AddonsRuntime


def test_runtime(addons: AddonsRuntime) -> None:
    assert addons.proven
