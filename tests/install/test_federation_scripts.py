"""What the scripts of a join and a leave print and send; kubectl and curl only answer here."""

import base64
import os
import re
import subprocess
from pathlib import Path

import pytest

from hale.apply import karmada as client
from hale.install.federation import membership, state
from hale.install.federation.state import FederationMember, MemberObject
from hale.shell import arguments, load_script

HERE = Path(membership.__file__).parent
CONFIG = base64.b64encode(b"certificate-authority-data: Q0E=\n").decode()
KUBECTL = r"""
while [ $# -gt 0 ]; do
  case $1 in --kubeconfig|--server|--tls-server-name|--request-timeout) shift 2 ;; *) break ;; esac
done
echo "$*" >>"$FOLDER/calls"
case $* in
*"apply"*) cat >"$FOLDER/given" ;;
*"get secret karmada-admin-config"*) printf %s "$CONFIG" ;;
*"get service karmada-apiserver"*) printf 10.96.0.9 ;;
*"get namespace kube-system"*) printf uid-1 ;;
*"get namespace karmada-cluster"*) [ ! -e "$FOLDER/account" ] || cat "$FOLDER/account" ;;
*"get pods"*) printf 'pod 10.1.0.2 True\npod 10.1.0.3 False\n' ;;
*"get clusters"*) printf 'member m1 uid-2-\nmember m2 -\n' ;;
*"get resourcebindings"*) printf 'Deployment/default/web m1 m2\nService/default/web\n' ;;
*"get secret"*"data.token"*) printf dG9rZW4= ;;
*"get secret"*"ca"*) printf Q0E= ;;
esac
"""


def run(
    folder: Path,
    script: str,
    *,
    karmada: bool = False,
    stdin: str = "",
    words: str = "",
    **given: str,
) -> str:
    """The output of this script, after the functions that it uses."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for tool, text in (("kubectl", KUBECTL), ("curl", 'exit "$(cat "$FOLDER/code")"')):
        (programs / tool).write_text(f"#!/bin/sh\n{text}")
        (programs / tool).chmod(0o755)
    memory = folder / "memory"
    memory.mkdir(exist_ok=True)
    begin = client.karmada_script if karmada else client.cluster_script
    text = begin(str(memory), **given) + words + load_script(HERE / f"{script}.sh")
    done = subprocess.run(
        ["sh", "-euc", text],
        input=stdin,
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "FOLDER": str(folder),
            "CONFIG": CONFIG,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert not list(memory.iterdir()), "no kubeconfig stays behind"
    return done.stdout


def test_what_is_read_of_the_host(tmp_path: Path) -> None:
    read = state.parse_host(run(tmp_path, "read_host", karmada=True))
    assert read.uid == "uid-1"
    assert read.members == (MemberObject("m1", "uid-2"), MemberObject("m2", ""))
    assert read.pods == ("10.1.0.2",), "only a pod that is ready answers"
    assert read.placed == {"m1": ("Deployment/default/web",), "m2": ("Deployment/default/web",)}


@pytest.mark.parametrize(
    ("printed", "account"), [("", None), ("account uid-0-\n", "uid-0"), ("account -\n", "")]
)
def test_what_is_read_of_a_member(tmp_path: Path, printed: str, account: str | None) -> None:
    (tmp_path / "account").write_text(printed)
    read = state.parse_member(run(tmp_path, "read_member"))
    assert read == FederationMember("uid-1", ("10.1.0.2",), account)


def test_the_account_on_the_member(tmp_path: Path) -> None:
    printed = run(tmp_path, "invite", name="second", host="uid-0")
    assert printed == "token dG9rZW4=\ntoken dG9rZW4=\nca Q0E=\nend\n"
    made = (tmp_path / "given").read_text()
    assert '{name: karmada-cluster, labels: {hale-federation: "uid-0"}}' in made
    assert "{name: karmada-second, namespace: karmada-cluster}" in made


def test_the_member_in_karmada(tmp_path: Path) -> None:
    run(tmp_path, "enroll", karmada=True, stdin="{}", name="second", patience="9")
    assert (tmp_path / "given").read_text() == "{}"
    assert "wait --for condition=Ready --timeout 9s" in (tmp_path / "calls").read_text()


def test_a_leave_deletes_the_cluster_before_its_secrets(tmp_path: Path) -> None:
    run(tmp_path, "expel", karmada=True, name="second", patience="9")
    deleted = re.findall(r"delete (\w+ \S+)", (tmp_path / "calls").read_text())
    assert deleted == ["cluster second", "secret second"]


def test_what_a_join_has_made_is_deleted(tmp_path: Path) -> None:
    run(tmp_path, "forget", name="second")
    deleted = re.findall(r"delete (\w+ \S+)", (tmp_path / "calls").read_text())
    assert deleted == [
        "clusterrolebinding karmada-controller-manager:karmada-second",
        "clusterrole karmada-controller-manager:karmada-second",
        "namespace karmada-cluster",
    ]


@pytest.mark.parametrize(
    ("code", "word"), [(0, "reached"), (52, "reached"), (7, "lost"), (28, "lost"), (6, "lost")]
)
def test_a_connection(tmp_path: Path, code: int, word: str) -> None:
    """Whatever answers is reached: curl(1), EXIT CODES."""
    (tmp_path / "code").write_text(str(code))
    printed = run(tmp_path, "reach", words=arguments("10.1.0.2:53"))
    assert printed == f"{word} 10.1.0.2:53\nend\n"
