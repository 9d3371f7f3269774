"""Chapter 3: an odd number of masters, so that a majority is left when one is lost."""

from facts.control_plane_size import ControlPlaneSizeInventory, ControlPlaneSizeParameters


def test_inventory(
    control_plane_size: ControlPlaneSizeInventory, parameters: ControlPlaneSizeParameters
) -> None:
    assert control_plane_size.count in parameters.accepted
