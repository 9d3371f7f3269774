"""testinfra's own modules over `hale://`, compared with its `ssh://`."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import testinfra
import testinfra.backend

from hale.pytest_plugin import sessions as plugin
from hale.pytest_plugin.sessions import HaleBackend
from hale.ssh import CommandTimeout, HostUnreachable, SessionPool, Target, UnknownHost
from lab.machine import Lab

from .lab_users import HOST, reach

Known = Callable[[Target], SessionPool]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[Known]:
    """Makes a host the only one that `hale://` knows; afterwards all is as before."""
    monkeypatch.setattr(testinfra.backend, "BACKENDS", dict(testinfra.backend.BACKENDS))
    plugin.register_backend()
    with ExitStack() as made:

        def use(target: Target) -> SessionPool:
            pool = made.enter_context(SessionPool({target.name: target}))
            monkeypatch.setattr(HaleBackend, "sessions", pool)
            return pool

        yield use


def host_of(name: str, **options: Any) -> Any:
    """A fresh testinfra host (testinfra's own get_host keeps them for ever)."""
    backend = testinfra.backend.get_backend(f"hale://{name}", **options)
    host = testinfra.host.Host(backend)
    backend.set_host(host)
    return host


def test_an_unknown_name_says_which_there_are(known: Known) -> None:
    known(Target(name="k8s-master-01"))
    with pytest.raises(UnknownHost, match=r"'k8s-master-1'.*k8s-master-01"):
        host_of("k8s-master-1")


@pytest.mark.usefixtures("fake_ssh")
class TestPretended:
    def test_hosts_share_their_session(self, known: Known) -> None:
        pool = known(Target(name="somehost", address="192.0.2.1"))
        one, other = host_of("somehost"), host_of("somehost")
        assert one.check_output("echo %s", "it's") == "it's"
        assert other.run("exit 255").rc == 255
        assert pool.session("somehost").attempts == 1

    def test_names(self, known: Known) -> None:
        known(Target(name="Some-Host.example"))
        (backend,) = testinfra.backend.get_backends(["hale://Some-Host.example"])
        assert isinstance(backend, HaleBackend)
        assert backend.get_pytest_id() == "Some-Host.example"
        assert backend.get_hostname() == "Some-Host.example"
        assert backend.get_connection_type() == "hale"

    def test_text_is_utf8_and_needs_no_python_on_the_host(self, known: Known) -> None:
        pool = known(Target(name="somehost", connect_timeout=60))
        host = host_of("somehost")
        assert host.check_output("echo %s", "größer 世界") == "größer 世界"
        assert host.run("printf '\\377'").stdout_bytes == b"\xff"
        assert pool.session("somehost").run("echo é").stdout == "é\n".encode()

    def test_timeout(self, known: Known) -> None:
        known(Target(name="somehost", connect_timeout=60))
        with pytest.raises(CommandTimeout):
            host_of("somehost").run("sleep 30", timeout=0.2)

    def test_local_commands_stay_local(self, known: Known) -> None:
        pool = known(Target(name="somehost", connect_timeout=60))
        assert host_of("somehost").backend.run_local("echo %s", "a b").stdout == "a b\n"
        assert pool.session("somehost").attempts == 0


def test_a_dead_host_costs_one_attempt(known: Known) -> None:
    pool = known(Target(name="dead", address="127.0.0.1", port=1, ssh_config="/dev/null"))
    for _ in range(5):
        with pytest.raises(HostUnreachable, match="dead"):
            _ = host_of("dead").file("/etc/fstab").exists
    assert pool.session("dead").attempts == 1


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "file": lambda h: [
        (f.exists, f.is_directory, f.user, f.mode, f.mtime) for f in [h.file("/etc/passwd")]
    ],
    "file text": lambda h: h.file("/etc/passwd").content,
    "no file": lambda h: h.file("/no/such").exists,
    "link": lambda h: h.file("/etc/os-release").linked_to,
    "sha256": lambda h: h.file("/etc/passwd").sha256sum,
    "contains": lambda h: h.file("/etc/passwd").contains("^root:"),
    "listdir": lambda h: h.file("/etc/ssh").listdir(),
    "service": lambda h: [h.service("ssh").is_running, h.service("ssh").is_enabled],
    "package": lambda h: [h.package("sudo").version, h.package("nothing").is_installed],
    "user": lambda h: [h.user("root").uid, h.user("root").shell, h.user("nobody-at-all").exists],
    "group": lambda h: h.group("root").gid,
    "process": lambda h: [p.user for p in h.process.filter(comm="sshd", ppid="1")],
    "socket": lambda h: h.socket("tcp://0.0.0.0:22").is_listening,
    "sysctl": lambda h: h.sysctl("net.ipv4.ip_forward"),
    "interface": lambda h: h.interface("lo").addresses,
    "mount": lambda h: h.mount_point("/").exists,
    "system": lambda h: [h.system_info.distribution, h.system_info.release, h.system_info.arch],
    "environment": lambda h: h.environment()["HOME"],
    "find": lambda h: h.find_command("sshd"),
    "sudo": lambda h: _as_other(h),
    "addr": lambda h: h.addr("localhost").is_resolvable,
}


def _as_other(host: Any) -> list[str]:
    with host.sudo("hale-dash"):
        inner = host.check_output("id -un")
    return [inner, host.check_output("id -un")]


@pytest.fixture(scope="module")
def stock(users: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """testinfra's `ssh://`; sharing a connection, which it does not by itself, saves time."""
    folder = tmp_path_factory.mktemp("shared")
    config = folder / "config"
    config.write_text(f"ControlPath {folder}/%n\n" + users.ssh_config.read_text())
    yield testinfra.get_host(f"ssh://{HOST}?ssh_config={config}")
    subprocess.run(["ssh", "-F", config, "-O", "exit", HOST], stderr=subprocess.PIPE, check=True)


@pytest.mark.lab
@pytest.mark.parametrize("question", QUESTIONS)
def test_modules_answer_as_over_ssh(users: Lab, known: Known, stock: Any, question: str) -> None:
    known(reach(users.ssh_config))
    ask = QUESTIONS[question]
    assert ask(host_of(HOST)) == ask(stock)


@pytest.mark.lab
def test_sudo_of_testinfra_and_ours_together(users: Lab, known: Known) -> None:
    """become enters sudo once; `host.sudo()` and --sudo wrap single commands, as ever."""
    pool = known(reach(users.ssh_config, "hale-sudo", become=True))
    host = host_of(HOST)
    assert host.user().name == "root"
    with host.sudo("hale-dash"):
        assert host.user().name == "hale-dash"
    assert host.file("/etc/shadow").contains("root")
    assert host_of(HOST, sudo=True, sudo_user="hale-fish").check_output("id -un") == "hale-fish"
    assert pool.session(HOST).attempts == 1
