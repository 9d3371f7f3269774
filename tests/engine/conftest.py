"""What tests of `pytest --hosts=…` have in common."""

from pathlib import Path

import pytest

from tests.engine.pytest_cli import EVIDENCE, SYSCTL, Done, copy_of_the_tree, typed


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """All of the recorded subjects, judged once for several tests."""
    return typed(
        tmp_path_factory.mktemp("judged"), *EVIDENCE, SYSCTL, "checks/test_control_plane_size.py"
    )


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the tree, and the environment to run it with."""
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder, copy_of_the_tree(folder)
