"""The scripts of the member drill, with programs that only answer: ip keeps its rules in a file."""

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from hale.apply import karmada
from hale.drill import member
from hale.drill.fault import Fault
from hale.model.drill import FaultKind
from hale.shell import load_script

IP = r"""
family=$1 file=$FOLDER/rules$1; shift 2
case $* in
"show pref"*) cat "$file" 2>/dev/null || : ;;
"add pref 7 to "*" blackhole")
  [ ! -e "$FOLDER/full" ] || { rm "$FOLDER/full"; exit 2; }
  echo "$5" >>"$file" ;;
"del pref 7") [ -s "$file" ] || exit 2; sed -i 1d "$file" ;;
*) echo "unknown: $*" >&2; exit 255 ;;
esac
"""
SHOW = 'case $1 in -*) ;; *) set -- -4 "$@" ;; esac\n'
KUBECTL = r"""
while [ $# -gt 0 ]; do
  case $1 in --kubeconfig|--server|--tls-server-name|--request-timeout) shift 2 ;; *) break ;; esac
done
echo "$*" >>"$FOLDER/calls"
case $* in
*"get secret karmada-admin-config"*) printf %s "$CONFIG" ;;
*"get service karmada-apiserver"*) printf 10.96.0.9 ;;
*"apply -f -"*) cat >"$FOLDER/given" ;;
*"wait --for jsonpath"*) [ ! -e "$FOLDER/late" ] || exit 1 ;;
*"get resourcebindings"*) echo "NoClusterFit" ;;
*"get clusters "*) printf '[]' ;;
*"get clustertaintpolicies "*) printf '[{}]' ;;
esac
"""
CONFIG = base64.b64encode(b"client-key-data: a2V5\n").decode()
CUT = Fault(FaultKind.MEMBER, "b1", unreached=("10.0.0.1", "10.244.0.0/16", "fd00::/64"))


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    programs = tmp_path / "bin"
    programs.mkdir()
    timer = 'echo "$*" >>"$FOLDER/systemd"\n'
    texts = {
        "ip": SHOW + IP,
        "kubectl": KUBECTL,
        "systemctl": timer,
        "systemd-run": timer,
        "sleep": "",
    }
    for name, text in texts.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}")
        (programs / name).chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "FOLDER": str(tmp_path),
        "CONFIG": CONFIG,
    }


def run(script: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=False
    )


def rules(folder: Path) -> list[str]:
    return [
        rule
        for family in ("-4", "-6")
        if (path := folder / f"rules{family}").exists()
        for rule in path.read_text().split()
    ]


def test_the_fault_and_its_revert(tmp_path: Path, environment: Mapping[str, str]) -> None:
    done = run(CUT.inject_script(), environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lost ")
    assert rules(tmp_path) == list(CUT.unreached)
    assert "--on-active=900" in (tmp_path / "systemd").read_text()
    for _ in range(2):  # a second time there is nothing to do
        assert run(CUT.revert_script(), environment).returncode == 0
        assert rules(tmp_path) == []


def test_rules_of_the_site_are_not_touched(tmp_path: Path, environment: Mapping[str, str]) -> None:
    (tmp_path / "rules-6").write_text("fd99::/64\n")
    done = run(CUT.inject_script(), environment)
    assert done.returncode == 1
    assert "there is a rule of preference 7 already" in done.stderr
    assert rules(tmp_path) == ["fd99::/64"]
    assert not (tmp_path / "systemd").exists(), "no timer would remove it"


def test_a_rule_that_cannot_be_added_is_a_failure(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    (tmp_path / "full").touch()
    assert run(CUT.inject_script(), environment).returncode


@pytest.mark.parametrize(("origin", "status"), [("10.0.0.1", 1), ("10.0.0.2", 0)])
def test_a_login_that_would_be_lost(
    tmp_path: Path, environment: Mapping[str, str], origin: str, status: int
) -> None:
    """sudo has taken the variable from its child; the login's own shell has it."""
    script = tmp_path / "script"
    script.write_text(CUT.inject_script())
    login = {**environment, "SSH_CONNECTION": f"{origin} 40000 10.1.0.1 22"}
    done = run(f"env -u SSH_CONNECTION sh {script}; exit $?", login)
    assert done.returncode == status, done.stderr
    assert ("which is to be disconnected" in done.stderr) == bool(status)
    assert bool(rules(tmp_path)) != bool(status)


def script(file: str, folder: Path, **given: str) -> str:
    memory = folder / "memory"
    memory.mkdir(exist_ok=True)
    begin = karmada.karmada_script(str(memory), **given)
    return f"set -eu\n{begin}{load_script(member.HERE / f'{file}.sh')}"


def test_what_is_read_of_karmada(tmp_path: Path, environment: Mapping[str, str]) -> None:
    assert run(script("member_read", tmp_path), environment).stdout == "[]\n[{}]\n"
    assert not list((tmp_path / "memory").iterdir()), "no kubeconfig stays behind"


GIVEN = {"space": "drill", "name": "one", "replicas": "2", "patience": "9", "objects": "{}"}


def test_the_workload_is_placed(tmp_path: Path, environment: Mapping[str, str]) -> None:
    done = run(script("member_deploy", tmp_path, **GIVEN), environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "given").read_text() == "{}"
    (tmp_path / "late").touch()
    late = run(script("member_deploy", tmp_path, **GIVEN), environment)
    assert late.returncode == 1
    assert "NoClusterFit" in late.stderr


def test_the_workload_is_deleted(tmp_path: Path, environment: Mapping[str, str]) -> None:
    done = run(script("member_delete", tmp_path, space="drill", patience="9"), environment)
    assert done.returncode == 0, done.stderr
    wanted = "delete namespace drill --ignore-not-found --wait --request-timeout 0 --timeout 9s"
    assert wanted in (tmp_path / "calls").read_text()


def test_the_loop_keeps_no_kubeconfig(tmp_path: Path, environment: Mapping[str, str]) -> None:
    """It is killed at its end, and could remove none then."""
    given = {"socket": str(tmp_path / "socket"), "errors": str(tmp_path / "errors")}
    text = script("member_proxy", tmp_path, **given).replace("set -eu", "now() { now=1; }")
    done = run(f"{text}ls {tmp_path}/memory; kill -9 $$", environment)
    assert done.stdout == "begin 1\n"
    assert "proxy --unix-socket=" in (tmp_path / "calls").read_text()
