"""What two runs compare of a fact has no number that changes while nothing is touched."""

import pytest

from facts.etcd_storage import EtcdStorageRuntime
from hale.model.evidence import SettledFact


@pytest.mark.parametrize(("what", "most"), [("fsync", 10), ("size", 80)])
def test_etcds_storage_is_compared_by_the_side_of_its_limit(what: str, most: int) -> None:
    values = (most - 1.0, most + 1.0, most + 2.0)
    below, above, higher = (EtcdStorageRuntime(what, value, most) for value in values)
    assert isinstance(above, SettledFact)
    assert above.actual != higher.actual
    assert above.settled == higher.settled != below.settled
    assert f"more than {most} " in above.settled
    assert f"at most {most} " in below.settled
    alarm = EtcdStorageRuntime(what, below.value, most, alarm="NOSPACE")
    assert (alarm.settled != below.settled) == (what == "size")
