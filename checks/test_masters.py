"""Chapter 3: an odd number of masters, so that a majority is left when one is lost."""

from facts.masters import Inventory, Parameters


def test_inventory(masters: Inventory, parameters: Parameters) -> None:
    assert masters.count in parameters.accepted
