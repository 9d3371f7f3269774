"""A warning on standard error breaks up no output that is parsed; an error is still the reason.

Each script runs as it is, with programs of its own that print a warning in the middle of an answer,
as a dynamic linker may (`ERROR: ld.so: object … cannot be preloaded`), or fail.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from facts import etcd, kubectl, registry
from facts.cluster import external_etcd, manifests, nodes
from facts.parsers import local_apiserver
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.cluster_spec import ADMIN
from hale.model.evidence import CommandProbe
from hale.shell import PROCESSES, script_with

FACTS = Path(kubectl.__file__).parent
WARNING = "ERROR: ld.so: object '/usr/lib/libsite.so' cannot be preloaded: ignored."
ERROR = "it is refused, says the program"
VERSIONS = '{"clientVersion": {"gitVersion": "v1.34.4"}, "serverVersion": {}}'
ANNOTATIONS = '{"network": "0123", "dashboard": "4567"}'
OBJECT = "object [kube-system] Deployment coredns [2] [2] [] []"
TABLE = '{"kind": "Table", "rows": []}'
STATUS = '{"header": {"member_id": "1"}}'
RANGE = '{"header": {}, "cluster_id": 7, "count": "3"}'
TRACKING = "C0000201,192.0.2.1,2,1764400000.5,0.0001,0,0,0,0,0,0,0,64.0,Normal"


def program(answer: str, status: int) -> str:
    """It prints the answer in two parts, a warning between them, and an error where it fails."""
    middle = len(answer) // 2
    return (
        "#!/bin/sh\n"
        f"printf '%s' '{answer[:middle]}'\necho \"{WARNING}\" >&2\n"
        f"printf '%s\\n' '{answer[middle:]}'\n"
        + (f"echo 'curl: (7) {ERROR}' >&2\n" if status else "")
        + f"exit {status}\n"
    )


def run(folder: Path, script: str, **programs: str) -> str:
    """What the script prints with these programs. Fails where it does."""
    for name, text in programs.items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def kubectl_version(folder: Path) -> str:
    return PRELUDE + script_with(FACTS / "kubectl.sh", kubeconfig=str(folder / "admin.conf"))


def applied(folder: Path) -> str:
    return manifests.probe("192.0.2.1").script.replace(ADMIN, str(folder / "admin.conf"))


def objects(folder: Path) -> str:
    _, probe = nodes.probes("192.0.2.1")
    assert isinstance(probe, CommandProbe)
    return probe.script.replace(ADMIN, str(folder / "admin.conf"))


def api(folder: Path) -> str:
    return (
        local_apiserver.SHELL.replace(local_apiserver.PKI, str(folder)).replace(
            local_apiserver.MANIFEST, str(folder / "apiserver.yaml")
        )
        + "api nodes /api/v1/nodes\n"
    )


def livez(folder: Path) -> str:
    return (
        PRELUDE
        + "set -- https://vip/livez https://192.0.2.9/livez\n"
        + script_with(
            FACTS / "apiserver_vip.sh",
            ca=str(folder / "ca.crt"),
            client="/nowhere",
            kubelet="",
            config="",
        )
    )


def member(folder: Path) -> str:
    """Without the look for a port that listens: there is no etcd here."""
    script = etcd.SCRIPT_SINGLE_SAMPLE.replace(etcd.PKI, str(folder))
    return script.replace("{ echo closed; exit 0; }", ":")


def store(folder: Path) -> str:
    return external_etcd.probe(["https://192.0.2.1:2379"], "", "", "").script


def healthz(folder: Path) -> str:
    (folder / "config.yaml").write_text("healthzPort: 10248\n")
    file = FACTS / "kubelet.sh"
    config = str(folder / "config.yaml")
    return PRELUDE + script_with(file, unit="kubelet.service", shown="Id", config=config)


def lease(folder: Path) -> str:
    """Any process is the component's: there is none here."""
    file = FACTS / "leader_election.sh"
    script = script_with(file, component="kube-scheduler", port="10259", lease="/lease")
    functions = f"{PRELUDE}{PROCESSES}listeners() {{ :; }}\napi() {{ :; }}\n"
    return functions + script.replace("pids=$(", f"pids=$(echo {os.getpid()}; ")


def image(folder: Path) -> str:
    return f"{PRELUDE}{registry.ASK}ask https://registry.example/v2/\n"


def clock(folder: Path) -> str:
    file = FACTS / "time_sync.sh"
    return PRELUDE + script_with(
        file, shown="Id", chrony="chrony", timesyncd="none", ntp="none", openntpd="none"
    )


SYSTEMCTL = '#!/bin/sh\ncase " $* " in *" none "*) exit 3 ;; esac\necho ActiveState=active\n'
# The script, the program whose answer is parsed, and the answer.
SCRIPTS: list[tuple[Callable[[Path], str], str, str]] = [
    (kubectl_version, "kubectl", VERSIONS),
    (applied, "kubectl", ANNOTATIONS),
    (objects, "kubectl", OBJECT),
    (api, "curl", f"{TABLE} @ 200"),
    (livez, "curl", "ok-it-is"),
    (member, "curl", STATUS),
    (store, "curl", RANGE),
    (healthz, "curl", "ok-it-is"),
    (lease, "curl", "ok-it-is"),
    (image, "curl", "@ 200"),
    (clock, "chronyc", TRACKING),
]
IDS = [script.__name__ for script, _, _ in SCRIPTS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "admin.conf",
        "apiserver.yaml",
        "ca.crt",
        "apiserver-kubelet-client.crt",
        "apiserver-kubelet-client.key",
        "healthcheck-client.crt",
        "healthcheck-client.key",
    ):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(("script", "name", "answer"), SCRIPTS, ids=IDS)
def test_a_warning_breaks_up_no_answer(
    folder: Path, script: Callable[[Path], str], name: str, answer: str
) -> None:
    programs = {"systemctl": SYSTEMCTL, name: program(answer, 0)}
    printed = run(folder, script(folder), **programs)
    assert answer in printed
    assert WARNING not in printed


@pytest.mark.parametrize(("script", "name", "answer"), SCRIPTS, ids=IDS)
def test_a_program_that_fails_has_its_answer_and_its_error(
    folder: Path, script: Callable[[Path], str], name: str, answer: str
) -> None:
    programs = {"systemctl": SYSTEMCTL, name: program(answer, 7)}
    printed = run(folder, script(folder), **programs)
    assert answer in printed
    assert ERROR in printed


def test_the_reader_finds_curls_error_behind_a_warning(folder: Path) -> None:
    printed = run(folder, api(folder), curl=program("@ 000", 7))
    found = local_apiserver.answers(printed.splitlines(), {"nodes": "/api/v1/nodes"})
    assert found is not None
    assert found["nodes"].error == f"curl: (7) {ERROR}"


def test_the_reader_finds_a_document_without_the_warning(folder: Path) -> None:
    printed = run(folder, api(folder), curl=program(f"{TABLE} @ 200", 0))
    found = local_apiserver.answers(printed.splitlines(), {"nodes": "/api/v1/nodes"})
    assert found is not None
    assert found["nodes"].document == {"kind": "Table", "rows": []}
