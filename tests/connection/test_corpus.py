"""The corpus on a real host, byte for byte against plain ssh."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hale.ssh import ConnectionLost, Session
from lab.host import LabHost
from lab.machine import Lab

from .corpus import CASES, FISH, SIMPLE, Case
from .lab_users import HOST, reach

pytestmark = pytest.mark.lab

# Login shells, and what is tried on each: bash reads ~/.bashrc under sshd, dash does not, and
# takes the path without relays for simple commands, fish has a syntax of its own.
LOGINS = {"root": CASES, "hale-dash": SIMPLE, "hale-fish": FISH}

Result = tuple[int, bytes, bytes]


@dataclass(frozen=True)
class Login:
    """One login user, our session for it, and plain ssh's results in the order of its cases."""

    user: str
    session: Session
    plain: list[Result]


def plain(config: Path, shared: Path, user: str, case: Case) -> Result:
    """Plain ssh's result. What does not hurt sshd goes over a shared connection, to save time."""
    done = subprocess.run(
        ["ssh", "-F", config, "-S", "none" if case.hale else shared, f"{user}@{HOST}",
         case.command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@contextmanager
def runtime_directory(host: LabHost, user: str) -> Iterator[None]:
    """Keep /run/user/UID mounted.

    The mount ends with a user's last session, and a login in that moment finds it gone and has no
    XDG_RUNTIME_DIR (pam_systemd(8)): two logins are then not alike, whoever made them. A service
    that requires the mount (user-runtime-dir@.service) holds it between the logins of a test.
    """
    uid = host.run(f"id -u {user}").stdout.decode().strip()
    unit = f"hale-holds-{uid}.service"
    required = f"user-runtime-dir@{uid}.service"
    host.run(
        f"systemd-run --quiet --unit {unit} -p Requires={required} -p After={required} "
        f"sleep infinity && mountpoint -q /run/user/{uid}"
    )
    try:
        yield
    finally:
        host.run(f"systemctl stop {unit}")


@pytest.fixture(scope="module", params=LOGINS)
def login(
    request: pytest.FixtureRequest, users: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Login]:
    """One login user: plain ssh's results for all its cases, and our session."""
    user, config = request.param, users.ssh_config
    shared = tmp_path_factory.mktemp("shared") / "socket"
    master = ["ssh", "-F", str(config), "-S", str(shared), f"{user}@{HOST}"]
    with runtime_directory(users[HOST], user):
        subprocess.run([*master, "-fNM"], check=True, stderr=subprocess.DEVNULL)
        try:
            with ThreadPoolExecutor(4) as pool:  # sshd's MaxSessions and MaxStartups are ten
                results = list(pool.map(partial(plain, config, shared, user), LOGINS[user]))
        finally:
            subprocess.run([*master, "-O", "exit"], check=True, stderr=subprocess.DEVNULL)
        session = Session(reach(config, user))
        yield Login(user, session, results)
        session.close()


@pytest.mark.parametrize("kind", ["same", "different"])
def test_as_plain_ssh(login: Login, kind: str, subtests: pytest.Subtests) -> None:
    """Every case is equal but for the fields the corpus names; those do differ."""
    pairs = zip(LOGINS[login.user], login.plain, strict=True)
    chosen = [(case, plain) for case, plain in pairs if bool(case.hale) == (kind == "different")]
    futures = [login.session.submit(case.command) for case, _ in chosen]
    for (case, (status, stdout, stderr)), future in zip(chosen, futures, strict=True):
        expected: dict[str, Any] = {"exit_status": status, "stdout": stdout, "stderr": stderr}
        with subtests.test(str(case), why=case.why):
            differences = case.hale or {}
            if "error" in differences:
                assert isinstance(future.exception(), differences["error"])
                continue
            for field, value in differences.items():
                assert expected[field] != value, "no longer a difference: strike it from the corpus"
            done = future.result()
            got = {"exit_status": done.exit_status, "stdout": done.stdout, "stderr": done.stderr}
            assert got == expected | differences


def test_the_session_lived_through_all(login: Login) -> None:
    """Two commands end the session (`kill 0`); none other costs a connection."""
    ended = sum(case.hale == {"error": ConnectionLost} for case in LOGINS[login.user])
    assert login.session.attempts <= 1 + ended
