"""Audits of recorded evidence (data/, from record_evidence.py), and pages of any results."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hale.audit import results_file
from hale.model.results import Results
from tests.reports import factories

DATA = Path(__file__).parent / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden/ instead of comparing"
    )


@pytest.fixture
def recorded() -> Results:
    """The results of a real run on the lab; every test gets its own."""
    return results_file.load_results(DATA / "results.json")


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> factories.Audited:
    """All recorded evidence, judged by `pytest` as an operator types it."""
    return factories.audit(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def distributed(tmp_path_factory: pytest.TempPathFactory) -> factories.Audited:
    """The same with two workers of xdist."""
    return factories.audit(tmp_path_factory.mktemp("distributed"), "-n", "2")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)`: the text is what tests/golden/<name> holds."""

    def check(name: str, text: str) -> None:
        path = Path(__file__).parent.parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        assert text == path.read_text()

    return check
