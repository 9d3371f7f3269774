"""A user's login to the lab's stand-in for Headlamp, in Chromium, with a real apiserver behind it.

`python -m tests.dashboard.login FOLDER`, in a network and a mount namespace of its own, prints what
the page shows after each login, as JSON, and writes a picture of each to FOLDER. There is no
kubelet: the stand-in is a process here, and the nodes are objects alone.

Sources: kubernetes.io, "Managing Service Accounts" (TokenRequest), "Using RBAC Authorization".
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.build import cache_root, open_cache
from lab.mirror import binaries, golang
from tests.federation.apiserver import PORT, LoneApiserver
from tests.federation.processes import until
from tests.reports.browser import Browser

NODES = ["k8s-master-01", "k8s-node-01"]
_PAGE = "http://127.0.0.1:4466/"
_POD_FILES = Path("/run/secrets/kubernetes.io/serviceaccount")
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


def build() -> dict[str, Path]:
    """The programs by name, built if they are not there. Raises LabError."""
    with open_cache(cache_root() / "supply", print) as building:
        kubernetes = golang.build_module(building, binaries.KUBERNETES)
        etcd = golang.build_module(building, binaries.ETCD)
        tools = golang.build_module(building, binaries.TOOLS)
    return {
        "kube-apiserver": kubernetes / "kube-apiserver",
        "etcd": etcd / "etcd",
        "headlamp": tools / "headlamp",
    }


def start_dashboard(cluster: LoneApiserver, program: Path) -> None:
    """With the files and variables that a kubelet gives its Pod."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    _POD_FILES.mkdir(parents=True)
    shutil.copy(cluster.ca, _POD_FILES / "ca.crt")
    address = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(PORT)}
    cluster.processes.start("headlamp", [program], address)


def tokens(cluster: LoneApiserver) -> dict[str, str]:
    """Short-lived ones: of a user who may see nodes, of one who may not, and one that is wrong."""
    api = cluster.api
    for user in ("visitor", "stranger"):
        api.create(_ACCOUNTS, {"metadata": {"name": user}})
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}
    api.create(f"{_RBAC}/clusterroles", {"metadata": {"name": "sees-nodes"}, "rules": [rule]})
    group = "rbac.authorization.k8s.io"
    api.create(
        f"{_RBAC}/clusterrolebindings",
        {
            "metadata": {"name": "sees-nodes"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "sees-nodes"},
            "subjects": [{"kind": "ServiceAccount", "name": "visitor", "namespace": "default"}],
        },
    )
    made = {user: _token(cluster, user) for user in ("visitor", "stranger")}
    return {**made, "wrong": made["visitor"][:-8] + "AAAAAAAA"}


def _token(cluster: LoneApiserver, user: str) -> str:
    wanted = {"spec": {"expirationSeconds": 600}}
    status, made = cluster.api.request("POST", f"{_ACCOUNTS}/{user}/token", wanted)
    assert status == 201, made
    token: str = made["status"]["token"]
    return token


def log_in(browser: Browser, token: str) -> dict[str, Any]:
    """What the page shows after a login with real keys."""
    browser.go(_PAGE)
    for key in token:
        browser.press(key)
    browser.press("Enter")
    read = (
        "({nodes: [...document.querySelectorAll('li')].map(item => item.textContent),"
        " refused: document.querySelector('[role=alert]').textContent})"
    )
    shown: dict[str, Any] = {}

    def answered() -> bool:
        shown.update(browser.evaluate(read))
        return any(shown.values())

    until("the page shows an answer", answered, 60)
    return shown


def logins(folder: Path, programs: dict[str, Path]) -> dict[str, Any]:
    """What the page shows after each login, by the user."""
    cluster = LoneApiserver(folder, programs)
    try:
        cluster.until_ready()
        for name in NODES:
            cluster.api.create("/api/v1/nodes", {"metadata": {"name": name}})
        start_dashboard(cluster, programs["headlamp"])
        known = tokens(cluster)
        browser = Browser(folder / "profile")
        try:
            shown = {}
            for user, token in known.items():
                shown[user] = log_in(browser, token)
                (folder / f"{user}.png").write_bytes(browser.screenshot())
        finally:
            browser.close()
    finally:
        cluster.processes.end_all()
    return shown


def main() -> None:
    """Log in with each token. Argument: an empty folder."""
    folder = Path(sys.argv[1])
    print(json.dumps(logins(folder, build())))


if __name__ == "__main__":
    main()
