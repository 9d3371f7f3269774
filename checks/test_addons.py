"""Chapter 2: a second cluster, where the site asks for one."""

from facts.addons import AddonsRuntime


def test_runtime(addons: AddonsRuntime) -> None:
    assert addons.proven
