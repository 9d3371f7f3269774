"""Makes all states, judges them and writes them as cases of tests/facts/federation.

`make karmada`: root, a Go toolchain, and ten minutes; the build of Karmada is kept.
"""

import difflib
import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.mirror import binaries
from tests.federation.states import STATES, State

CASES = Path(__file__).parents[1] / "facts/federation"
BASE = "healthy"
# What no program of Karmada's does when asked to: the healthy one's output, edited.
EDITED = (
    (
        State("is-truncated", "UNKNOWN", "the answer of federation is incomplete"),
        r'"kind": "LeaseList"(.|\n)*',
        "",
    ),
    (
        State("lease-of-the-future", "UNKNOWN", "renewed in the future of this host's clock"),
        r"now (\d+)",
        lambda m: f"now {int(m[1]) - 600}",
    ),
    (
        State("certificate-not-valid-yet", "FAIL", "is not valid before"),
        r"now (\d+)",
        lambda m: f"now {int(m[1]) - 2 * 86400}",
    ),
    (
        State("pull-without-a-lease", "FAIL", "member m1 (Pull) has no Lease"),
        r'"name": "m1",\n"namespace": "karmada-cluster"',
        '"name": "m9",\n"namespace": "karmada-cluster"',
    ),
    (
        State("leader-without-a-lease", "UNKNOWN", "a leader of karmada-scheduler works"),
        r'"name": "karmada-scheduler",\n"namespace"',
        '"name": "another",\n"namespace"',
    ),
    (
        State("may-not-list-secrets", "UNKNOWN", "the Secrets of its namespace cannot be read"),
        r"section secrets 0 \n@ 200\nend\nsection certificates(.|\n)*?\nend\n",
        "section secrets 0 \n@ 403\nend\n",
    ),
    (
        State("no-certificates", "UNKNOWN", "by the names -cert and -certs, has a certificate"),
        r"section certificates(.|\n)*?\nend\n",
        "",
    ),
    (
        State("certificate-unreadable", "UNKNOWN", "ca.crt of the Secret etcd-cert cannot be read"),
        r"-----BEGIN CERTIFICATE-----\nMI",
        "-----BEGIN CERTIFICATE-----\nXX",
    ),
    (
        State("clusters-not-served", "UNKNOWN", "answers HTTP 503 for Cluster objects"),
        r'@ 200\n\{\n"kind": "APIService"',
        '@ 503\n{\n"kind": "APIService"',
    ),
    (
        State("unknown-mode", "UNKNOWN", "member m2 has the unknown mode 'Both'"),
        r'"syncMode": "Push"',
        '"syncMode": "Both"',
    ),
)
#: Too short to be told by differences.
ALONE = ("no-karmada", "may-not-list")


def make_states(folder: Path) -> dict[str, str]:
    """What the probe prints in each state. Raises CalledProcessError."""
    module = "tests.federation.states"
    argv = ["unshare", "--net", sys.executable, "-m", module, str(folder)]
    subprocess.run(argv, check=True, cwd=CASES.parents[2], timeout=3600)
    return {state.name: (folder / f"{state.name}.txt").read_text() for state in STATES}


def edited(healthy: str) -> dict[str, str]:
    """The edited outputs. Raises ValueError where an edit changes nothing."""
    outputs = {}
    for state, pattern, replacement in EDITED:
        outputs[state.name], count = re.subn(pattern, replacement, healthy, count=1)
        if not count:
            raise ValueError(f"{state.name}: not in the output")
    return outputs


def case(state: State, outputs: dict[str, str], how: str) -> str:
    """The case of a state."""
    text = (
        f"# Karmada {binaries.KARMADA_VERSION}, Kubernetes {binaries.KUBERNETES_VERSION}, {how}\n"
        "# `make karmada` has written this.\n"
        'requirement = "CMP-FEDERATION"\naspect = "runtime"\n'
        f'verdict = "{state.verdict}"\nactual = [{json.dumps(state.actual)}]\n\n'
        "[every.outputs.federation]\n"
    )
    if state.name in (BASE, *ALONE):
        return f'{text}base = "federation/recorded/{state.name}.txt"\n'
    base, output = (outputs[name].splitlines(keepends=True) for name in (BASE, state.name))
    hunks = [*difflib.unified_diff(base, output, n=1)][2:]
    return f"{text}base = \"federation/recorded/{BASE}.txt\"\ndiff = '''\n{''.join(hunks)}'''\n"


def main() -> None:
    """Write the cases."""
    with TemporaryDirectory() as folder:
        write(make_states(Path(folder)))


def write(outputs: dict[str, str]) -> None:
    """The cases of these outputs, by state."""
    recorded = CASES / "recorded"
    recorded.mkdir(exist_ok=True)
    for name in (BASE, *ALONE):
        (recorded / f"{name}.txt").write_text(outputs[name])
    for state in STATES:
        (CASES / f"{state.name}.toml").write_text(case(state, outputs, "as it is."))
    outputs |= edited(outputs[BASE])
    for state, _, _ in EDITED:
        text = case(state, outputs, "and what it printed was edited.")
        (CASES / f"{state.name}.toml").write_text(text)


if __name__ == "__main__":
    main()
