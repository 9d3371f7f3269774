"""What stands in the way of a file: it is missing, or this user may not read it or reach it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from facts import etcd, etcd_storage
from facts.parsers.probe_prelude import PRELUDE
from hale.shell import arguments

USER = 65534  # nobody


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can search."""
    with TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def refusal(script: str, user: int | None = None) -> tuple[int, str]:
    """The exit status and standard error of a probe. user: another one than this test's."""
    if user is not None and os.getuid():
        pytest.skip("only root can run a script as another user")
    groups: list[int] | None = None if user is None else []
    done = subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        user=user,
        group=user,
        extra_groups=groups,
        cwd="/",
    )
    return done.returncode, done.stderr.rstrip("\n")


def of_file(path: Path, user: int | None = None) -> tuple[int, str]:
    return refusal(f'{PRELUDE}{arguments(str(path))}readable "$1"\n', user)


def test_a_file(folder: Path) -> None:
    (folder / "key").touch()
    assert of_file(folder / "key") == (0, "")
    assert of_file(folder / "key", USER) == (0, "")


def test_a_missing_file(folder: Path) -> None:
    for user in (None, USER):
        assert of_file(folder / "key", user) == (3, f"{folder}/key is missing")
        assert of_file(folder / "a/b/key", user) == (3, f"{folder}/a/b/key is missing")


def test_a_file_without_permission(folder: Path) -> None:
    (folder / "key").touch(0o600)
    assert of_file(folder / "key", USER) == (3, f"{folder}/key is not readable by this user")


def test_a_folder_without_permission(folder: Path) -> None:
    (folder / "pki").mkdir(0o700)
    hidden = f"{folder}/pki is not searchable by this user"
    assert of_file(folder / "pki/key", USER) == (3, hidden)
    assert of_file(folder / "pki/etcd/key", USER) == (3, hidden)


def test_a_link(folder: Path) -> None:
    (folder / "pki").mkdir(0o700)
    (folder / "to-nothing").symlink_to("nothing")
    (folder / "to-hidden").symlink_to("pki/key")
    assert of_file(folder / "to-nothing") == (3, f"{folder}/to-nothing is missing")
    hidden = f"{folder}/pki is not searchable by this user"
    assert of_file(folder / "to-hidden", USER) == (3, hidden)


def test_a_file_in_the_place_of_a_folder(folder: Path) -> None:
    (folder / "pki").touch()
    assert of_file(folder / "pki/key") == (3, f"{folder}/pki/key is missing")


def test_the_key_of_etcd_is_missing(folder: Path) -> None:
    """A manifest without a cluster: its requirements reported a key that root cannot read."""
    (folder / "etcd.yaml").touch()
    script = etcd_storage.SCRIPT.replace(etcd_storage.MANIFEST, str(folder / "etcd.yaml"))
    script = script.replace(etcd.PKI, str(folder / "pki"))
    expected = f"{folder}/pki/healthcheck-client.key is missing"
    assert refusal(script) == (3, expected)
    (folder / "pki").mkdir()
    (folder / "pki/healthcheck-client.key").touch(0o600)
    expected = f"{folder}/pki/healthcheck-client.key is not readable by this user"
    assert refusal(script, USER) == (3, expected)
