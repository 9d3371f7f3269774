"""Packages: the site's repository and its key; containerd, runc, the CNI plugins, kubelet, kubeadm
and kubectl at the inventory's version, held there. So are containerd, runc and the CNI plugins that
are installed here; what is there already is not upgraded. dnf holds by its versionlock, where it
has that, and by `exclude=` of the site's repository. With the packages, the kubelet and containerd
of a host that has not joined get the limits that the baseline asks for, by a drop-in.

Host groups are staggered: where they share a mirror's link, or a lab's CPUs, the hosts that
others depend on come first. Only the site's own repository is refreshed, so that another mirror
may be down. If the repository lacks the version, the error lists those that it has, and nothing
is installed.

Sources: apt-get(8), apt-mark(8), sources.list(5); kubernetes.io, "Installing kubeadm"; dnf.conf(5)
`excludepkgs`; dnf-versionlock(8), dnf5-versionlock(8).
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import ClassVar

from facts.cluster import file_digests, packages, services
from facts.cluster.packages import Packages
from hale.install.cluster_context import GROUPS, MASTERS, ClusterContext
from hale.install.phase import (
    Batch,
    Observations,
    Phase,
    PhaseProblem,
    Probes,
    Problems,
    RunScript,
    Step,
    WriteFile,
)
from hale.inventory.ini import Host
from hale.model.errors import UserError
from remediate import service_limits
from remediate.cluster import scripts, templates, versions

PINNED = ("kubeadm", "kubectl", "kubelet")
RUNTIME = ("containerd", "runc")
# Docker's package contains both. It is kept where it is installed, and installed where dnf has no
# containerd: the Red Hat family itself has none.
OTHER_RUNTIME = "containerd.io"
TOOLS = ("conntrack", "curl", "socat")
_ALL = (*RUNTIME, *PINNED, *TOOLS)
# With what an audit reads the rules of that mode of kube-proxy, which brings its own.
MODE_TOOLS = {"nftables": ("nftables",)}
DNF_NAMES = {"conntrack": "conntrack-tools"}  # where dnf's name differs
# Of dpkg, its front ends, and `apt-get update`: apt.conf(5), dpkg(1).
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock")
NAME = "hale-kubernetes"
LIST = f"/etc/apt/sources.list.d/{NAME}.list"
REPO = f"/etc/yum.repos.d/{NAME}.repo"
# The packages that Hale has installed on the host, a name a line.
RECORD = "/var/lib/hale/install/packages"
PLUGINS = ("kubernetes-cni", "containernetworking-plugins")
UNITS = "/etc/systemd/system"
DNF_KEY = f"/etc/pki/rpm-gpg/RPM-GPG-KEY-{NAME}"


class InstallPackages(Phase):
    """Repository and packages, the same on every node."""

    name = "packages"
    title = "Packages"
    DEPENDS_ON = ()
    GATED = True
    PREPARES_HOSTS = True
    HOST_GROUPS = GROUPS
    # A joining master pulls its images before the next group's packages compete for the mirror.
    CHAINS_INTO: ClassVar = {MASTERS: "images"}
    STAGGER_SECONDS = 25.0  # an init and a join take longer, so this delays the install by nothing

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Packages and their holds, the repository's files, the kubelet's unit."""
        if host not in site.current_hosts:
            return {}
        paths = [LIST, *_keyrings(), REPO, DNF_KEY, RECORD]
        names = (*_ALL, *chain(*MODE_TOOLS.values()), OTHER_RUNTIME, *DNF_NAMES.values())
        return {
            packages.SUBJECT: (packages.probe(names),),
            file_digests.SUBJECT: (file_digests.probe(paths),),
            services.SUBJECT: (services.probe(["kubelet", "containerd"]),),
        }

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """The kubelet's version, containerd's and that of the control groups."""
        return {packages.SUBJECT: (packages.probe((*RUNTIME, "kubelet")),)}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """Versions that cannot work together, by versions.toml."""
        return tuple(
            problem
            for host in site.hosts
            for problem in versions.problems(
                site, host, packages.read(observations.of(host.name, packages.SUBJECT))
            )
        )

    def exemption_problems(
        self, site: ClusterContext, observations: Observations, exempt: Collection[str]
    ) -> tuple[str, ...]:
        """A kubelet of another version: one that is added would be newer than the apiserver."""
        return tuple(
            problem
            for host in site.hosts
            if host.name in exempt
            for found in (packages.read(observations.of(host.name, packages.SUBJECT)),)
            if (problem := _upgrade(site, host, found))
        )

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """Packages missing, at another version or not held; an outdated repository file."""
        return tuple(
            PhaseProblem(str(what), host.name)
            for host in site.current_hosts
            for what in _remaining(site, observations, host)
        )

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """Of hosts that have joined with packages of the site's own: which are not held."""
        return tuple(
            PhaseProblem(
                f"its packages are the site's own, and not held: {' '.join(free)}", host.name
            )
            for host in site.current_hosts
            if _has_own_packages(observations, host)
            if (free := _not_held(packages.read(observations.of(host.name, packages.SUBJECT))))
        )

    def preflight(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A kubelet of another version that runs, or of a host that has joined, stopped or not:
        replacing it would be an upgrade."""
        problems = []
        for host in site.current_hosts:
            found = packages.read(observations.of(host.name, packages.SUBJECT))
            runs = services.read(observations.of(host.name, services.SUBJECT))["kubelet"].active
            joined = file_digests.joined(observations.of(host.name, file_digests.SUBJECT))
            if (runs or joined) and (problem := _upgrade(site, host, found)):
                problems.append(problem)
        return tuple(problems)

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """The repository, then all packages in one transaction."""
        steps: list[Step] = []
        for host in site.current_hosts:
            found = packages.read(observations.of(host.name, packages.SUBJECT))
            if not tuple(_remaining(site, observations, host)):
                continue
            for path, content in _repository(site, found).items():
                title = "repository's key" if isinstance(content, bytes) else "repository"
                replaces = templates.replaces(observations, host.name, path)
                steps.append(
                    WriteFile(host.name, title, path, content, keep=False, replaces=replaces)
                )
            script = _apt(site, found) if found.manager == "apt" else _dnf(site, found)
            if not file_digests.joined(observations.of(host.name, file_digests.SUBJECT)):
                script += _limits(site, host)
            names = (*_wanted(site, found), *PLUGINS)
            script = remembering(
                script, *names, *(() if found.manager == "apt" else (OTHER_RUNTIME,))
            )
            steps.append(RunScript(host.name, "packages", script, timeout=1800))
        return (Batch(tuple(steps)),)


def _upgrade(site: ClusterContext, host: Host, found: Packages) -> str:
    """Why a host that runs this kubelet is refused; empty where it is the inventory's."""
    have, wanted = found.versions.get("kubelet"), site.cluster.kubernetes_version
    if not have or is_version(have, wanted):
        return ""
    return (
        f"{host.name} has the kubelet {have}; the inventory says {wanted}. An install does not "
        "upgrade a cluster: set kubernetes_version to the running version, or run `invoke reset` "
        "first."
    )


def _remaining(site: ClusterContext, observations: Observations, host: Host) -> Iterator[str]:
    found = packages.read(observations.of(host.name, packages.SUBJECT))
    there = file_digests.read(observations.of(host.name, file_digests.SUBJECT))
    units = services.read(observations.of(host.name, services.SUBJECT))
    own = _has_own_packages(observations, host)
    for path, content in _repository(site, found).items() if not own else ():
        if path not in there or there[path].sha256 != templates.digest(content):
            yield f"{path} is not the inventory's"
    if found.broken:
        yield "dpkg was interrupted"
    if missing := [name for name in _wanted(site, found) if name not in found.versions]:
        yield f"not installed: {' '.join(missing)}"
    version = site.cluster.kubernetes_version
    for name in PINNED:
        if name in found.versions and not is_version(found.versions[name], version):
            yield f"{name} is {found.versions[name]} and not {version}"
    if not own and (free := _not_held(found)):
        yield f"not held: {' '.join(free)}"
    if not (units["kubelet"].enabled and units["containerd"].enabled):
        yield "kubelet and containerd do not start at boot"


def _has_own_packages(observations: Observations, host: Host) -> bool:
    """Whether the host has joined a cluster with packages that Hale did not install."""
    written = observations.of(host.name, file_digests.SUBJECT)
    there = file_digests.read(written)
    by_hale = any(path in there for path in (RECORD, LIST, REPO))
    return file_digests.joined(written) and not by_hale


def _not_held(found: Packages) -> list[str]:
    return [n for n in PINNED if n not in found.held] if found.manager == "apt" else []


def is_version(installed: str, wanted: str) -> bool:
    """Whether a package's version, such as 1.34.4-1.1, is that version of Kubernetes."""
    bare = installed.partition(":")[2] if ":" in installed else installed
    return bare == wanted or bare.startswith((f"{wanted}-", f"{wanted}+", f"{wanted}~"))


def install_script(names: Iterable[str]) -> str:
    """A script that installs packages from the host's own repositories. Runs after this phase."""
    return f"{_apt_functions()}{scripts.load('dnf_hold')}{scripts.load('install_packages', *names)}"


def _apt_functions() -> str:
    return scripts.load("apt", locks=" ".join(LOCKS))


def remembering(script: str, *names: str) -> str:
    """The script, an installation, between what notes which of these packages it installs."""
    given = {"names": " ".join(dict.fromkeys(names)), "record": RECORD}
    before = scripts.load("remember_packages", **given)
    return f"{scripts.load('is_installed')}{before}{script}{scripts.load('prune_packages')}"


def _wanted(site: ClusterContext, found: Packages) -> tuple[str, ...]:
    other = RUNTIME if OTHER_RUNTIME in found.versions else ()
    called = DNF_NAMES if found.manager == "dnf" else {}
    wanted = (*_ALL, *MODE_TOOLS.get(site.kube_proxy_mode, ()))
    return tuple(called.get(n, n) for n in wanted if n not in other)


# --- the repository ---


def _repository(site: ClusterContext, found: Packages) -> dict[str, str | bytes]:
    cluster = site.cluster
    if found.manager == "apt":
        if cluster.apt_repository is None:
            return {}
        keyring = _keyring(site)
        return {
            keyring: _key(site, found),
            LIST: f"# written by Hale\ndeb [signed-by={keyring}] {cluster.apt_repository}\n",
        }
    if not cluster.dnf_repository:
        return {}
    return {
        DNF_KEY: _key(site, found),
        REPO: f"# written by Hale\n[{NAME}]\nname=Kubernetes\nbaseurl={cluster.dnf_repository}\n"
        f"enabled=1\ngpgcheck=1\ngpgkey=file://{DNF_KEY}\nexclude={' '.join(PINNED)}\n",
    }


def _keyrings() -> tuple[str, str]:
    return (f"/etc/apt/keyrings/{NAME}.asc", f"/etc/apt/keyrings/{NAME}.gpg")


def _keyring(site: ClusterContext) -> str:
    """The path of the key. apt tells an armored key from a binary one by the suffix: apt-key(8)."""
    path = site.cluster.apt_key
    armored = path is not None and site.files[path].lstrip().startswith(b"-----BEGIN")
    return _keyrings()[0 if armored else 1]


def _key(site: ClusterContext, found: Packages) -> bytes:
    path = site.cluster.apt_key if found.manager == "apt" else site.cluster.dnf_key
    if path is None:
        raise UserError(f"{found.manager}_repository needs {found.manager}_key.")
    return site.files[path]


# --- the scripts ---


_ENABLE = "systemctl -q enable kubelet containerd\n"


def _limits(site: ClusterContext, host: Host) -> str:
    """A script that raises what the services' own files set lower than the baseline asks for."""
    words = [
        word
        for limit in site.service_limits.get(host.name, ())
        for word in (limit.unit, limit.dropin, limit.setting, service_limits.minimum(limit))
    ]
    return scripts.load("raise_service_limits", *words, units=UNITS) if words else ""


def _apt(site: ClusterContext, found: Packages) -> str:
    script = scripts.load(
        "install_kubernetes_apt",
        *(n for n in _wanted(site, found) if n not in PINNED and n not in found.versions),
        **_pinned(site),
        held=" ".join(RUNTIME),
        list=LIST if site.cluster.apt_repository is not None else "",
    )
    return f"{_apt_functions()}{script}{scripts.load('link_cni_plugins')}{_ENABLE}"


def _dnf(site: ClusterContext, found: Packages) -> str:
    wanted = [n for n in _wanted(site, found) if n not in PINNED and n not in found.versions]
    script = scripts.load(
        "install_kubernetes_dnf",
        *(n for n in wanted if n not in RUNTIME),
        **_pinned(site),
        repository=NAME,
        own="yes" if site.cluster.dnf_repository else "",
        runtime=" ".join(n for n in RUNTIME if n in wanted),
        other_runtime=OTHER_RUNTIME,
        held=" ".join((*RUNTIME, OTHER_RUNTIME, *PLUGINS)),
        record=RECORD,
    )
    return f"{scripts.load('dnf_hold')}{script}{scripts.load('link_cni_plugins')}{_ENABLE}"


def _pinned(site: ClusterContext) -> dict[str, str]:
    version = site.cluster.kubernetes_version
    return {
        "pinned": " ".join(PINNED),
        "version": version,
        "pattern": version.replace(".", "[.]"),
    }
