"""How a host is reached: Ansible's variables and pytest's options, and what cannot be done."""

import time
from pathlib import Path
from typing import Any

import pytest
import testinfra

from hale.gather import transports
from hale.inventory import ini
from hale.model.errors import UserError
from hale.pytest_plugin.argv import join_option_values
from hale.ssh import (
    CommandResult,
    CommandTimeout,
    ConnectionLost,
    HostUnreachable,
    OutputTooLarge,
    Session,
    Target,
    inventory_targets,
)

OPTIONS: dict[str, Any] = {
    "ssh_config": None,
    "identity_file": None,
    "become": False,
    "become_user": None,
    "become_password": None,
    "connect_timeout": 5.0,
}


def target(folder: Path, variables: str, **options: Any) -> Target:
    path = folder / "inventory.ini"
    path.write_text(
        f"[masters]\nm1 {variables}\n[all:vars]\nvip=192.0.2.1\nvip_port=1\nvip_names=api.example\n"
    )
    (host,) = ini.load_inventory(path).hosts
    return inventory_targets.target_of(host, **(OPTIONS | options))


@pytest.mark.parametrize(
    ("variables", "options", "wanted"),
    [
        ("", {}, {"name": "m1", "address": None, "user": None, "port": None, "become": False}),
        ("ansible_host=192.0.2.7", {}, {"address": "192.0.2.7"}),
        ("ansible_port=2222", {}, {"port": 2222}),
        ("ansible_user=ops", {}, {"user": "ops"}),
        ("ansible_ssh_user=ops", {}, {"user": "ops"}),
        ("ansible_become=true", {}, {"become": True, "become_user": "root"}),
        ("ansible_become=Yes", {}, {"become": True}),
        ("ansible_become=no", {}, {"become": False}),
        ("ansible_become=no", {"become": True}, {"become": True}),
        ("ansible_become_user=app", {"become": True}, {"become_user": "app"}),
        ("", {"become": True, "become_user": "app"}, {"become_user": "app"}),
        ("ansible_ssh_private_key_file=/k", {"identity_file": "/o"}, {"identity_file": "/k"}),
        ("", {"identity_file": "/o"}, {"identity_file": "/o"}),
        (
            "ansible_ssh_common_args=\"-F /c -o 'ProxyCommand nc %h'\" ansible_ssh_extra_args=-v",
            {},
            {"ssh_args": ("-F", "/c", "-o", "ProxyCommand nc %h", "-v")},
        ),
        ("ansible_connection=ssh ansible_become_method=sudo", {}, {"name": "m1"}),
    ],
)
def test_target(
    tmp_path: Path, variables: str, options: dict[str, Any], wanted: dict[str, Any]
) -> None:
    found = target(tmp_path, variables, **options)
    assert {name: getattr(found, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ("ansible_port=ssh", "ansible_port='ssh' is not a port"),
        ("ansible_port=0", "ansible_port='0' is not a port"),
        ("ansible_port=70000", "ansible_port='70000' is not a port"),
        ("ansible_port=" + "9" * 5000, "is not a port"),
        ('ansible_ssh_common_args="-o \'x"', "ansible_ssh_common_args: No closing quotation"),
        ("ansible_become=perhaps", "ansible_become='perhaps' is neither true nor false"),
        ("ansible_become_method=doas", "ansible_become_method='doas' is not supported"),
        ("ansible_connection=local", "ansible_connection='local' is not supported; use ssh"),
    ],
    ids=lambda v: v[:30],
)
def test_what_cannot_be_done(tmp_path: Path, variables: str, error: str) -> None:
    with pytest.raises(UserError) as raised:
        target(tmp_path, variables)
    assert str(raised.value).startswith(f"{tmp_path}/inventory.ini:2: ")
    assert error in str(raised.value)


# --- what went wrong on the way is an answer, never an exception ---


class Failing:
    """A session that fails in one way."""

    target = Target("m1")
    login_user = host_key = None

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, command: str, timeout: float, *, simple: bool) -> CommandResult:
        raise self._error


@pytest.mark.parametrize(
    ("error", "output"),
    [
        (HostUnreachable("m1: no route"), "m1: no route"),
        (
            ConnectionLost("m1: lost under `" + "e" * 79 + "…`: gone"),
            "m1: lost under hale's script",
        ),
        (OutputTooLarge("m1: `x` printed too much"), "m1: `x` printed too much"),
        (CommandTimeout("m1: `x` did not end"), "did not finish answering within 3 s"),
    ],
)
def test_a_session_that_fails(error: Exception, output: str) -> None:
    session: Any = Failing(error)
    answer = transports.SshTransport(session).run_script("e" * 1000, 3)
    assert output in answer.unreachable
    assert answer.address == "m1"


def test_a_session_that_was_closed() -> None:
    session = Session(Target("m1"))
    session.close()
    assert (
        "the session is closed" in transports.SshTransport(session).run_script("x", 3).unreachable
    )


def test_a_stock_transport_that_hangs() -> None:
    host = testinfra.get_host("local://")
    began = time.monotonic()
    answer = transports.TestinfraTransport(host).run_script("sleep 30", 0.2)
    assert time.monotonic() - began < 25
    assert answer.unreachable == "no answer within 0.2 s over local."


def test_a_stock_transport_that_cannot() -> None:
    host = testinfra.get_host("docker://no-such-container")
    answer = transports.TestinfraTransport(host).run_script("echo " + "x" * 1000, 20)
    assert "docker" in answer.address
    assert len(answer.unreachable) < 300


# --- the command line ---


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--inventory", "f", "-x"], ["--inventory=f", "-x"]),
        (["--inventory=f"], ["--inventory=f"]),
        (["--html", "a b", "--evidence", "c"], ["--html=a b", "--evidence=c"]),
        (["--inventory"], ["--inventory"]),
        (["-k", "--inventory", "f"], ["-k", "--inventory=f"]),
        ([], []),
    ],
)
def test_two_words_in_one(words: list[str], wanted: list[str]) -> None:
    assert join_option_values(words) == wanted
