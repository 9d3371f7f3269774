"""docs/proofs.md, written from what this run has proven.

It is written only after the whole table ran and held. Where the committed page says anything
else, it is replaced, and the test fails so that the new one gets committed.
"""

import pytest

from hale.paths import ROOT
from hale.standard import loader
from tests.cluster.faults.table import FAULTS as CLUSTERS
from tests.faults.proofs import Proofs, page
from tests.faults.table import EVERY

pytestmark = pytest.mark.lab
PAGE = ROOT / "docs" / "proofs.md"


def test_the_page_is_what_was_proven(lab: object, proofs: Proofs) -> None:
    missing = [fault.name for fault in EVERY if fault.name not in proofs.seen]
    if len(missing) == len(EVERY):
        pytest.skip("this run injected no fault: run all of tests/faults")
    assert not missing, f"not proven in this run, so the page stays as it was: {missing}"
    stated = loader.load_standard(ROOT / "standard").requirements
    text = page(stated, (*EVERY, *CLUSTERS))
    before = PAGE.read_text() if PAGE.exists() else ""
    PAGE.write_text(text)
    assert before == text, f"{PAGE} was not what this run has proven; it is now: commit it"
