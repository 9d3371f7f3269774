"""A healthy HA cluster that Hale did not build, on a lab's hosts: `invoke lab.stranger`.

It is brought up by plain `kubeadm` and by hand, with what sites have that Hale does not make:

- containerd with another root, a second runtime, a mirror, credentials and imports;
- haproxy with a frontend of its own for 80 and 443, and servers by host name;
- keepalived with a second VIP, a password and notify scripts;
- an intermediate CA of the company, in place before init; CoreDNS under another name;
- volumes mounted below /var/lib/kubelet/pods, podman's network in /etc/cni/net.d, a virtual server
  of keepalived's (by a stand-in for ipvsadm), a budget that refuses evictions;
- a second etcd and a second kube-apiserver, in a pod of a master;
- a host whose nftables.service drops what it does not name, and one without an ordinary user.

Nothing here uses Hale's phases or remedies.
"""

from __future__ import annotations

import secrets
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hale.shell import load_script, script_with
from lab import mirror
from lab.errors import LabError
from lab.machine import Lab, LabHost
from lab.mirror import images
from lab.topology import POD_RANGE, SERVICE_RANGE, VIP, VIP_PORT

Say = Callable[[str], None]

NAMES = ("master.k8s.io", "k8s-vip")
#: The second VIP, of the shop.
SHOP_VIP = "10.208.1.180"
#: The master that runs the tenant's etcd and kube-apiserver.
TENANT_HOST = "k8s-master-02"
#: The worker with the shop's volume and nftables.service, and the one without an ordinary user.
VOLUME_HOST = FIREWALL_HOST = "k8s-node-01"
ROOT_ONLY_HOST = "k8s-node-02"
#: What is in containerd's configuration, and must be in no report.
REGISTRY_PASSWORD = "c0rrect-horse-battery"

_HERE = Path(__file__).parent
# Where each file of the folder `files` goes, with its mode; masters' files apart.
_EVERYWHERE = {
    "hosts": ("etc/hosts", 0o644),
    "config.toml": ("etc/containerd/config.toml", 0o600),
    "gc.toml": ("etc/containerd/conf.d/gc.toml", 0o644),
    "sysctl.conf": ("etc/sysctl.d/kubernetes.conf", 0o644),
    "modules.conf": ("etc/modules-load.d/kubernetes.conf", 0o644),
    "ipvsadm": ("usr/local/sbin/ipvsadm", 0o755),
    "ipvs": ("var/lib/site/ipvs", 0o644),
}
_ON_MASTERS = {
    "haproxy.cfg": ("etc/haproxy/haproxy.cfg", 0o644),
    "keepalived.conf": ("etc/keepalived/keepalived.conf", 0o644),
    "notify.sh": ("etc/keepalived/notify.sh", 0o755),
}
_ON_THE_FIRST = {
    "kubeadm.yaml": ("root/kubeadm.yaml", 0o600),
    "site.yaml": ("root/site.yaml", 0o600),
    "site-proxy.yaml": ("root/site-proxy.yaml", 0o600),
}


def build(lab: Lab, say: Say) -> None:
    """Bring the cluster up on the lab's hosts, which must be in none; writes the lab's inventory.

    Takes a minute and a half once the mirror is built. Raises LabError.
    """
    for host in lab.hosts:
        if (host.root / "etc/kubernetes/kubelet.conf").exists():
            raise LabError(
                f"{host.name} is in a cluster already: take the lab down first, or name another one"
            )
    mirror.start_mirror(lab, say)
    goods = mirror.build_artifacts(lab.base, say)
    variables = mirror.inventory_variables(goods)
    # The lab's addon is not in this cluster.
    lab.write_inventory({k: v for k, v in variables.items() if k != "addons"})
    begun = time.monotonic()

    def step(title: str) -> None:
        say(f"{time.monotonic() - begun:5.1f} s  {title}")

    _Builder(lab, goods, step).run()


def delete_kube_proxy(lab: Lab) -> None:
    """Make another program serve the Services, and delete kube-proxy's DaemonSet."""
    lab.hosts[0].run(load_script(_HERE / "no_kube_proxy.sh"), timeout=600)


def restore_kube_proxy(lab: Lab) -> None:
    """Take `delete_kube_proxy` back."""
    lab.hosts[0].run(load_script(_HERE / "kube_proxy_back.sh"), timeout=600)


def mount_volumes(host: LabHost) -> None:
    """Mount and fill what stands for persistent volumes: no boot does that."""
    host.run(load_script(_HERE / "surroundings.sh"), timeout=60)


def settle(lab: Lab) -> None:
    """Wait until all nodes are Ready, and everything runs. Raises LabError."""
    lab.hosts[0].run(load_script(_HERE / "settle.sh"), timeout=1200)


class _Builder:
    """The steps, of all hosts at once."""

    def __init__(self, lab: Lab, goods: mirror.Artifacts, step: Say) -> None:
        self._lab = lab
        self._goods = goods
        self._step = step
        self._masters = [h for h in lab.hosts if h.spec.role == "masters"]
        self._images = _images(goods)
        self._join_alone = threading.Lock()  # etcd takes one new member at a time
        self._pin: Future[str] = Future()
        self._values = self._template_values()

    def run(self) -> None:
        with ThreadPoolExecutor(len(self._lab.hosts)) as pool:
            for done in [pool.submit(self._host, host) for host in self._lab.hosts]:
                done.result()
            settle(self._lab)
            self._step("everything runs")
        # Later than the pods' network: containerd takes the first file that it finds.
        podman = "87-podman-bridge.conflist"
        for host in self._lab.hosts:
            self._write(host, {podman: (f"etc/cni/net.d/{podman}", 0o644)})

    def _host(self, host: LabHost) -> None:
        master = host in self._masters
        try:
            self._write(host, _EVERYWHERE)
            if master:
                self._write(host, _ON_MASTERS)
            self._add_repository(host)
            self._run(
                host,
                "install",
                master="yes" if master else "",
                firewall="yes" if host.name == FIREWALL_HOST else "",
                root_only="yes" if host.name == ROOT_ONLY_HOST else "",
            )
            self._step(f"{host.name}: packages and services")
            if host is self._masters[0]:
                self._pin.set_result(self._init(host))
                self._step(f"{host.name}: kubeadm init")
                self._run(host, "surroundings")
                self._run(host, "apply")
                return
        except BaseException as error:
            if host is self._masters[0]:
                self._pin.set_exception(error)
            raise
        self._join(host, master=master)

    def _init(self, host: LabHost) -> str:
        self._write(host, _ON_THE_FIRST)
        with (host.root / "root/kubeadm.yaml").open("a") as config:
            config.write("---\n" + (self._lab.state / "kubeadm-extra.yaml").read_text())
        network = (self._lab.state / "network.yaml").read_text()
        (host.root / "root/network.yaml").write_text(network)
        self._run(host, "company_ca")
        return self._run(host, "init").strip()

    def _join(self, host: LabHost, *, master: bool) -> None:
        common = ("kube-proxy", "pause")
        wanted = [i for i in self._images.values() if master or i.startswith(common)]
        wanted = [f"{images.REGISTRY}/{images.KUBERNETES}/{i}" for i in wanted]
        self._run(host, "pull", images=" ".join(wanted))
        values = {
            "endpoint": f"{NAMES[0]}:{VIP_PORT}",
            "token": str(self._values["token"]),
            "pin": self._pin.result(),
            "key": str(self._values["certificate_key"]) if master else "",
        }
        if master:
            with self._join_alone:
                self._run(host, "join", **values)
        else:
            self._run(host, "join", **values)
        self._step(f"{host.name}: kubeadm join")
        self._run(host, "surroundings")

    def _run(self, host: LabHost, name: str, **values: str) -> str:
        script = script_with(_HERE / f"{name}.sh", **values)
        return host.run(script, timeout=1200).stdout.decode()

    def _add_repository(self, host: LabHost) -> None:
        key = host.root / "etc/apt/keyrings/site.asc"
        key.parent.mkdir(parents=True, exist_ok=True)
        key.write_text((self._lab.state / "apt-key.asc").read_text())
        url = mirror.inventory_variables(self._goods)["apt_repository"].strip('"')
        line = f"deb [signed-by=/etc/apt/keyrings/site.asc] {url}\n"
        (host.root / "etc/apt/sources.list.d/site.list").write_text(line)

    def _write(self, host: LabHost, files: dict[str, tuple[str, int]]) -> None:
        templates = Environment(
            loader=FileSystemLoader(_HERE / "files"),
            undefined=StrictUndefined,
            trim_blocks=True,
            keep_trailing_newline=True,
        )
        if host.name == FIREWALL_HOST and files is _EVERYWHERE:
            files = {**files, "nftables.conf": ("etc/nftables.conf", 0o755)}
        for name, (where, mode) in files.items():
            text = templates.get_template(f"{name}.j2").render(
                host=host, priority=110 - self._lab.hosts.index(host), **self._values
            )
            path = host.root / where
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(mode)

    def _template_values(self) -> dict[str, object]:
        return {
            "hosts": self._lab.hosts,
            "masters": self._masters,
            "workers": [h for h in self._lab.hosts if h not in self._masters],
            "names": NAMES,
            "vip": VIP,
            "vip_port": VIP_PORT,
            "shop_vip": SHOP_VIP,
            "registry": images.REGISTRY,
            "password": REGISTRY_PASSWORD,
            "pods": POD_RANGE,
            "services": SERVICE_RANGE,
            "dns": SERVICE_RANGE[10],
            "version": self._goods.version,
            "token": f"{secrets.token_hex(3)}.{secrets.token_hex(8)}",
            "certificate_key": secrets.token_hex(32),
            "tenant_host": TENANT_HOST,
            "volume_host": VOLUME_HOST,
            "pause": self._images["pause"],
            "coredns": self._images["coredns"],
            "etcd": self._images["etcd"],
            "apiserver": self._images["kube-apiserver"],
            "proxy": self._images["kube-proxy"],
        }


def _images(goods: mirror.Artifacts) -> dict[str, str]:
    """The images that kubeadm names, `name:tag` by name without folders."""
    argv = [str(goods.kubernetes / "kubeadm"), "config", "images", "list",
            f"--kubernetes-version=v{goods.version}", "--image-repository=k8s"]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
    named = [line.partition("/")[2] for line in done.stdout.split()]
    return {line.partition(":")[0].rpartition("/")[2]: line for line in named}
