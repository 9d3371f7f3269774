"""Whose process it is, on a real host: a name alone, which anyone may take, changes no answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from facts import firewalld, kube_proxy, leader_election, time_sync, vip_owner
from facts.cluster import leftovers
from facts.leader_election import LeaderElectionParameters
from facts.parsers.listeners import foreign_owner
from hale import gather
from hale.audit.judge import judge
from hale.gather.request import build_request
from hale.inventory import ini
from hale.model.evidence import CommandProbe, HostView
from hale.model.requirement import Aspect, Case
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.shell import load_script
from hale.standard.loader import load_standard
from lab.machine import Lab, LabHost

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
PROGRAMS = "/usr/local/lib/stand-ins"
PORT = 10259
DIGEST = "0123456789abcdef0123456789abcdef"
USER = "--uid=nobody"
STATIC = f"--slice=kubepods-burstable-pod{DIGEST}.slice"
API_UID = "55014bea-1dcc-4dcb-9b01-c4d817e9fe81"
OF_THE_API = f"--slice=kubepods-besteffort-pod{API_UID.replace('-', '_')}.slice"
TLS = f"OPENSSL-LISTEN:{PORT},reuseaddr,fork,cert={PROGRAMS}/pem,verify=0 EXEC:{PROGRAMS}/reply"


@pytest.fixture(scope="module")
def prepared(lab: Lab) -> Iterator[LabHost]:
    host = lab["k8s-master-02"]
    host.run(load_script(HERE / "stand_in_processes.sh"))
    yield host
    host.reset()


@pytest.fixture
def host(prepared: LabHost) -> Iterator[LabHost]:
    yield prepared
    prepared.run("systemctl stop 'stand-in-*'; rm -rf /var/log/pods")


def start(host: LabHost, name: str, where: str, *arguments: str, before: str = "") -> None:
    unit = f"stand-in-{len(host.run('systemctl list-units stand-in-*').stdout)}"
    program = f"{before} {PROGRAMS}/{name} {' '.join(arguments) or 'infinity'}"
    host.run(f"systemd-run --quiet --collect --unit={unit} {where} {program}")
    host.run(f"for n in $(seq 20); do ! pgrep -x {name[:15]} || break; sleep 0.1; done; sleep 0.2")


def pod(host: LabHost, name: str) -> None:
    host.run(f"mkdir -p /var/log/pods/{name}")


def lines(host: LabHost, script: str) -> list[str]:
    return host.run(script).stdout.decode().splitlines()


def scheduler(host: LabHost) -> list[str]:
    script = leader_election._script(LeaderElectionParameters("kube-scheduler", PORT, 15))
    return [x for x in lines(host, script) if not x.startswith(("at ", "now ", "no manifest"))]


def test_a_users_scheduler_is_none(host: LabHost) -> None:
    start(host, "kube-scheduler", USER, TLS)
    assert scheduler(host) == ["no process"]


def test_a_scheduler_in_a_tenants_pod_is_none(host: LabHost) -> None:
    pod(host, f"tenant_kube-scheduler-0_{API_UID}")
    start(host, "kube-scheduler", OF_THE_API, TLS)
    assert scheduler(host) == ["no process"]


def test_a_scheduler_in_another_static_pod_is_none(host: LabHost) -> None:
    pod(host, f"kube-system_site-scheduler-k8s-master-02_{DIGEST}")
    start(host, "kube-scheduler", STATIC, TLS)
    assert scheduler(host) == ["no process"]


@pytest.mark.parametrize("logs", ["", f"kube-system_kube-scheduler-k8s-master-02_{DIGEST}"])
def test_kubeadms_scheduler_answers(host: LabHost, logs: str) -> None:
    if logs:
        pod(host, logs)
    start(host, "kube-scheduler", STATIC, TLS)
    assert scheduler(host) == [
        "bind 127.0.0.1", f"socket 00000000:{PORT:04X} own", "healthz 0 ok",
    ]  # fmt: skip


def test_a_user_who_has_the_schedulers_port_is_named(host: LabHost) -> None:
    pod(host, f"kube-system_kube-scheduler-k8s-master-02_{DIGEST}")
    start(host, "kube-scheduler", STATIC, "UNIX-LISTEN:/run/stand-in", "STDOUT")
    start(host, "kube-scheduler", USER, TLS)
    found = scheduler(host)
    assert found[-1] == "healthz 0 ok"
    owner = foreign_owner(found, "127.0.0.1", PORT)
    assert owner.startswith("process ")
    assert owner.endswith(" ('kube-scheduler') of the user 65534")


def test_whose_kube_proxy_it_is(host: LabHost) -> None:
    answer = [f"TCP-LISTEN:10249,reuseaddr,fork EXEC:{PROGRAMS}/reply"]
    start(host, "kube-proxy", USER, *answer)
    assert lines(host, kube_proxy.SCRIPT) == ["no process"]
    host.run("systemctl stop 'stand-in-*'")
    pod(host, f"tenant_kube-proxy-x_{API_UID}")
    start(host, "kube-proxy", OF_THE_API, *answer)
    assert lines(host, kube_proxy.SCRIPT) == ["no process"]
    host.run("rm -rf /var/log/pods")
    pod(host, f"kube-system_kube-proxy-x_{API_UID}")
    found = lines(host, kube_proxy.SCRIPT)
    assert found[:3] == ["process", "socket 00000000:2809 own", "mode 0 ok @ 200"]


def test_kube_proxy_as_a_unit(host: LabHost) -> None:
    host.run(
        f"systemd-run --quiet --collect --unit=kube-proxy {PROGRAMS}/kube-proxy "
        "TCP-LISTEN:10249,reuseaddr,fork STDOUT; sleep 0.3"
    )
    try:
        found = lines(host, kube_proxy.SCRIPT)
    finally:
        host.run("systemctl stop kube-proxy")
    assert found[:2] == ["process", "socket 00000000:2809 own"]


def test_a_users_kube_vip_is_none(host: LabHost, tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    text = (HERE.parent.parent / "inventory.ini").read_text()
    path.write_text(text.replace("vip_port=16443", "vip_port=16443\nendpoint_kind=kube-vip"))
    script = _command(vip_owner, "vip_owner", "holder", path)
    start(host, "kube-vip", USER, "UNIX-LISTEN:/tmp/stand-in", "STDOUT")
    assert lines(host, script)[-1] == "manager 1"
    pod(host, f"kube-system_kube-vip-k8s-master-02_{DIGEST}")
    start(host, "kube-vip", STATIC, "UNIX-LISTEN:/run/stand-in", "STDOUT")
    assert lines(host, script)[-1] == "manager 0"


def test_a_users_firewalld_is_none(host: LabHost) -> None:
    script = firewalld._processes("firewalld")
    start(host, "firewalld", USER)
    start(host, "firewalld", USER, before="unshare --user --map-root-user")
    start(host, "firewalld", "", before="unshare --net")  # as in a container
    assert lines(host, script) == []
    start(host, "firewalld", "")
    assert len(lines(host, script)) == 1


def test_a_chronyd_in_a_users_own_namespace_sets_no_clock(host: LabHost) -> None:
    before = sum(" chronyd " in x for x in lines(host, time_sync._script()))
    start(host, "chronyd", USER, before="unshare --user --map-root-user")
    assert sum(" chronyd " in x for x in lines(host, time_sync._script())) == before
    start(host, "chronyd", "")
    assert sum(" chronyd " in x for x in lines(host, time_sync._script())) == before + 1


def test_a_users_coredns_is_no_leftover_of_a_cluster(host: LabHost) -> None:
    script = leftovers.probe("10.208.1.190", "", stacked=True).script
    start(host, "coredns", USER)
    assert "process coredns" not in lines(host, script)
    start(host, "coredns", OF_THE_API)
    assert "process coredns" in lines(host, script)


def test_a_users_keepalived_puts_no_vip_on_a_master(host: LabHost, tmp_path: Path) -> None:
    """The VIP, and a file that names it, are what a keepalived has left that was removed."""
    path = tmp_path / "inventory.ini"
    text = (HERE.parent.parent / "inventory.ini").read_text()
    path.write_text(text.replace("vip_port=16443", "vip_port=16443\nendpoint_kind=external"))
    host.run(
        "mkdir -p /etc/keepalived; ip addr add 10.208.1.190/32 dev eth0\n"
        "printf 'vrrp_instance API {\\n virtual_ipaddress {\\n 10.208.1.190\\n }\\n}\\n' "
        ">/etc/keepalived/keepalived.conf"
    )
    try:
        start(host, "keepalived", USER)
        assert _address(host, path).verdict is Verdict.FAIL
        start(host, "keepalived", USER, before="unshare --user --map-root-user")
        assert _address(host, path).verdict is Verdict.FAIL
        host.run(f"systemd-run --quiet --collect --unit=keepalived {PROGRAMS}/keepalived infinity")
        found = _address(host, path)
        assert found.verdict is Verdict.PASS, found.actual
    finally:
        host.run(
            "systemctl stop keepalived; ip addr del 10.208.1.190/32 dev eth0; "
            "rm -r /etc/keepalived",
            check=False,
        )


class _Runs:
    """A transport that runs the script on the host."""

    name = "lab"

    def __init__(self, host: LabHost) -> None:
        self.host = host

    def run_script(self, command: str, timeout: float) -> gather.RawResponse:
        done = self.host.run(command, check=False, timeout=timeout)
        return gather.RawResponse(done.stdout, done.stderr)


def _address(host: LabHost, inventory: Path) -> Result:
    """NODES-ADDRESS of k8s-master-02 now."""
    loaded = ini.load_inventory(inventory)
    stated = load_standard(HERE.parent.parent / "standard")
    requirement = next(r for r in stated.requirements if r.id == "NODES-ADDRESS")
    on = loaded.masters[1]
    case = Case(requirement, Aspect.RUNTIME, on, requirement.parameters, (), loaded)
    evidence = gather.gather_host(build_request(on, [case]), _Runs(host), 60)
    return judge(case, HostView(evidence, "address")).result


def _command(module: object, subject: str, name: str, inventory: Path) -> str:
    loaded = ini.load_inventory(inventory)
    requirement = next(
        r for r in load_standard(HERE.parent.parent / "standard").requirements
        if r.subject == subject
    )  # fmt: skip
    case = Case(requirement, Aspect.RUNTIME, None, requirement.parameters, (), loaded)
    probes = module.probes(loaded.masters[1], [case])  # type: ignore[attr-defined]
    return next(p.script for p in probes if isinstance(p, CommandProbe) and p.name == name)
