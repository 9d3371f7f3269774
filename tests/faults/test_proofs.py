"""docs/proofs.md is what the tables of faults say; `make proofs` writes it."""

from tests.faults import proofs


def test_the_page_is_that_of_the_tables() -> None:
    assert proofs.PAGE.read_text() == proofs.current(), "run `make proofs` and commit the page"
