"""Load balancer and VIP: haproxy and keepalived on every master.

haproxy listens on the VIP's port and forwards connections to the apiservers that are ready;
keepalived gives the VIP to a node whose haproxy reaches one. "Ready" means that /readyz answers
over TLS verified by the cluster's CA. Before there is a CA, haproxy accepts any certificate, and
keepalived an open port: the phase `readyz` tightens both. With `ingress_on_vip` haproxy forwards
the ingress's ports, too, to the workers that accept a connection there.

Their packages are installed here rather than in `packages`, so that the pull of the images does not
wait for them; and before the slow check for another owner of the VIP has ended.

Adverts are unicast between the control-plane nodes, by VRRP version 3, which has no authentication:
their network must be trusted or filtered (docs/install.md). A recovered node does not take the VIP
back (`nopreempt`): another move would cut every connection again.

The text is that of the installed version (load_balancer_config.py); before the package is there, of
the one that would be installed.

Sources: RFC 9568; kubernetes.io, "Options for Software Load Balancing".
"""

from collections.abc import Iterable, Iterator

from facts.cluster import file_digests, kubernetes, load_balancer_host, services, vip_conflicts
from facts.cluster.load_balancer_host import LoadBalancerHost, Program
from hale.install.cluster_context import APISERVER_PORT, FIRST, MASTERS, ClusterContext
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
from hale.inventory.cluster_spec import INGRESS_PORTS
from hale.inventory.ini import Host
from hale.model.errors import UserError
from hale.model.evidence import FileProbe, HostView, Unreadable
from remediate.cluster import load_balancer_config, scripts, templates
from remediate.cluster.packages import install_script, remembering
from remediate.cluster.templates import ConfigProblem, ConfigState

HAPROXY = "/etc/haproxy/haproxy.cfg"
DROPIN = "/etc/systemd/system/haproxy.service.d/hale.conf"
KEEPALIVED = "/etc/keepalived/keepalived.conf"
CHECK = "/etc/keepalived/check-apiserver"
CA = "/etc/haproxy/apiserver-ca.crt"
UNITS = {HAPROXY: "haproxy", KEEPALIVED: "keepalived"}
PACKAGES = tuple(UNITS.values())  # named as their units
# Seconds between two adverts; a node is lost after three missing ones and less than one more.
ADVERT = 0.4
KIND = {
    "external": "endpoint_kind=external: the site's own load balancer; see that it sends "
    "{endpoint} to port 6443 of every master and asks /readyz there",
    "kube-vip": "endpoint_kind=kube-vip: put kube-vip's static pod manifest on the masters "
    "yourself, before init on the first (its documentation says how); Hale does not write it",
}


class LoadBalancer(Phase):
    """haproxy and keepalived on every control-plane node."""

    name = "load_balancer"
    title = "Load balancer and VIP"
    DEPENDS_ON = ("packages",)
    GATED = True
    PREPARES_HOSTS = True
    REMEDIATES = frozenset({"HA-APISERVER-VIP", "HA-LB-BACKENDS", "HA-VIP-OWNER"})
    HOST_GROUPS = (FIRST, MASTERS)

    def skip_reason(self, site: ClusterContext) -> str:
        """For a load balancer that Hale does not manage: what the operator must do."""
        return KIND.get(site.inventory.endpoint.kind, "").format(endpoint=site.endpoint)

    def probes(self, site: ClusterContext, host: Host) -> Probes:
        """Files, services, versions, ports, and the interface."""
        if not host.is_master or self.skip_reason(site):
            return {}
        endpoint = site.inventory.endpoint
        return {
            file_digests.SUBJECT: (
                file_digests.probe([HAPROXY, DROPIN, KEEPALIVED, CHECK, CA]),
                *templates.contents([HAPROXY, DROPIN, KEEPALIVED, CHECK]),
            ),
            services.SUBJECT: (services.probe(UNITS.values()),),
            load_balancer_host.SUBJECT: (load_balancer_host.probe(),),
            kubernetes.SUBJECT: (
                kubernetes.probe(stacked=site.etcd_is_stacked),
                FileProbe(kubernetes.CA),
            ),
            vip_conflicts.SUBJECT: (
                vip_conflicts.own_state_probe(endpoint.vip, host.address or host.name),
            ),
        }

    def gate_probes(self, site: ClusterContext, host: Host) -> Probes:
        """Versions, whether there is IPv6, whose files there are, and the ingress's ports."""
        if "masters" not in host.groups or self.skip_reason(site):
            return {}
        found: Probes = {
            load_balancer_host.SUBJECT: (load_balancer_host.probe(),),
            file_digests.SUBJECT: (file_digests.probe(UNITS), *templates.contents(UNITS)),
        }
        if not site.cluster.ingress_on_vip:
            return found
        node = kubernetes.probe(stacked=site.etcd_is_stacked)
        return {**found, kubernetes.SUBJECT: (node,)}

    def gate_problems(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A version that is too old, a VIP of IPv6 on a host without it, a load balancer of the
        site's own on masters that have joined, a port of the ingress that is in use.

        A package that no list of a host has yet is judged by `preflight`, before it is installed.
        """
        if self.skip_reason(site):
            return ()
        problems = list(_unsupported(site, observations))
        # On a master that has joined, too: haproxy would not start again.
        for host in site.masters if site.cluster.ingress_on_vip else ():
            problems += _taken(site, observations, host, INGRESS_PORTS)
        return tuple(problems)

    def preflight_probes(self, site: ClusterContext, host: Host) -> Probes:
        """Other claims on the VIP; listening for them takes seconds."""
        if not host.is_master or self.skip_reason(site):
            return {}
        vip = site.inventory.endpoint.vip
        return {
            vip_conflicts.SUBJECT: (vip_conflicts.conflict_probe(vip, host.address or host.name),)
        }

    def remaining(self, site: ClusterContext, observations: Observations) -> Problems:
        """Missing packages, differing files, services that do not run by them, a closed port."""
        if self.skip_reason(site):
            return ()
        return tuple(
            PhaseProblem(str(what), host.name)
            for host in site.current_masters
            for what in _remaining(site, observations, host)
        )

    def differences(self, site: ClusterContext, observations: Observations) -> Problems:
        """Of masters that have joined: files that are not Hale's. All others stay too, and so do
        the services that run with them."""
        if self.skip_reason(site):
            return ()
        return tuple(
            problem
            for host in site.current_masters
            if not _missing(observations, host)
            for problem in templates.differences(
                _files(site, observations, host), observations, host.name
            )
        )

    def preflight(self, site: ClusterContext, observations: Observations) -> tuple[str, ...]:
        """A version is too old; the VIP, the VRRP id or a port is already in use."""
        if self.skip_reason(site):
            return ()
        endpoint, own = site.inventory.endpoint, {h.address for h in site.masters}
        problems = list(_unsupported(site, observations))
        claims = {
            h.name: vip_conflicts.read(observations.of(h.name, vip_conflicts.SUBJECT))
            for h in site.masters
        }
        # A master may have taken it while the others were probed: its host group runs first.
        ours = {c.mac for c in claims.values()} - {""}
        if not any(c.held for c in claims.values()):
            problems += [
                f"the VIP {endpoint.vip} is in use by another machine: {name} gets an answer "
                f"from it{f' ({c.neighbour})' if c.neighbour else ''}. Take another vip, or find "
                "out which machine has it: `ip neigh`, the switch's table."
                for name, c in claims.items()
                if (c.answered or c.neighbour) and c.neighbour not in ours
            ][:1]
        strangers = {
            (peer, name)
            for name, c in claims.items()
            for peer, router in c.speakers
            if router == site.cluster.vrrp_id and peer not in own
        }
        for peer, name in sorted(strangers)[:1]:
            problems.append(
                f"{peer} already speaks VRRP with the id {site.cluster.vrrp_id}, as observed from "
                f"{name}: two groups with one id take each other's VIP. Set another vrrp_id."
            )
        for host in site.masters:
            claim = claims[host.name]
            if not claim.interface:
                problems.append(
                    f"{host.name}: no interface has the planned address {host.address}; see "
                    "NODES-ADDRESS of the audit."
                )
            problems += _taken(site, observations, host, _ports(site))
        return tuple(problems)

    def prepare(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """The packages, unless an old keepalived.conf could claim a VIP when they start, or a
        version is refused."""
        if not self.skip_reason(site) and not any(_unsupported(site, observations)):
            hosts = [h for h in site.current_masters if not _configured(observations, h)]
            yield Batch(tuple(step for host in hosts for step in _packages(observations, host)))

    def batches(self, site: ClusterContext, observations: Observations) -> Iterable[Batch]:
        """haproxy first, then keepalived: a node must not hold the VIP without haproxy."""
        if self.skip_reason(site):
            return
        haproxy: list[Step] = []
        keepalived: list[Step] = []
        for host in site.current_masters:
            undone = tuple(_remaining(site, observations, host))
            if not undone:
                continue
            if _configured(observations, host):
                haproxy += _packages(observations, host)
            found = _host(observations, host)
            vip = site.inventory.endpoint.vip
            if refused := tuple(load_balancer_config.problems(host, found, vip)):
                raise UserError("\n".join(refused))
            if found.haproxy is None or found.keepalived is None:
                continue  # the engine reads again what the packages have brought
            files = _files(site, observations, host)
            was = {p: templates.replaces(observations, host.name, p) for p in files}
            for path in (CA, DROPIN, HAPROXY):
                if path in files:
                    check = 'haproxy -c -q -f "$new"' if path == HAPROXY else ""
                    then = "systemctl daemon-reload" if path == DROPIN else ""
                    haproxy.append(
                        WriteFile(
                            host.name,
                            path,
                            path,
                            files[path],
                            check=check,
                            then=then,
                            replaces=was[path],
                        )
                    )
            haproxy.append(
                RunScript(
                    host.name,
                    "haproxy",
                    _started("haproxy", "reload-or-restart", _ports(site)),
                    awaited=frozenset({"HA-LB-BACKENDS"}),
                )
            )
            keepalived.append(
                WriteFile(host.name, CHECK, CHECK, files[CHECK], mode=0o755, replaces=was[CHECK])
            )
            keepalived.append(
                WriteFile(
                    host.name,
                    KEEPALIVED,
                    KEEPALIVED,
                    files[KEEPALIVED],
                    mode=0o600,
                    check=load_balancer_config.keepalived_check(found.keepalived.version),
                    then="systemctl restart keepalived",
                    replaces=was[KEEPALIVED],
                )
            )
            # A restart moves the VIP, so only where the running one has not read the file.
            outdated = ConfigProblem(ConfigState.OUTDATED, KEEPALIVED, "keepalived") in undone
            how = "restart" if outdated else "start"
            keepalived.append(
                RunScript(
                    host.name,
                    "keepalived",
                    _started("keepalived", how, ()),
                    awaited=frozenset({"HA-APISERVER-VIP"}),
                )
            )
        yield Batch(tuple(haproxy))
        yield Batch(tuple(keepalived))


def _remaining(
    site: ClusterContext, observations: Observations, host: Host
) -> Iterator[ConfigProblem | str]:
    if missing := _missing(observations, host):
        yield f"not installed: {' '.join(missing)}"
        return
    files = _files(site, observations, host)
    if templates.foreign_files(files, observations, host.name):
        return
    yield from templates.config_problems(files, observations, host.name, UNITS)
    ports = kubernetes.read(observations.of(host.name, kubernetes.SUBJECT)).ports
    for port in _ports(site):
        if ports.get(port) != "haproxy":
            yield f"haproxy does not listen on {port}"


def _taken(
    site: ClusterContext, observations: Observations, host: Host, ports: Iterable[int]
) -> Iterator[str]:
    """Which of the ports another program of the host has. Raises Unreadable."""
    listening = kubernetes.read(observations.of(host.name, kubernetes.SUBJECT)).ports
    for port in ports:
        who = listening.get(port, "haproxy")
        own = port == site.inventory.endpoint.port
        if who != "haproxy":
            yield (
                f"{host.name}: port {port} is in use by {who or 'another program'}. Stop it "
                f"(`ss -ltnp`), or {'set another vip_port' if own else 'unset ingress_on_vip'}."
            )


def _ports(site: ClusterContext) -> tuple[int, ...]:
    """On which haproxy listens."""
    more = INGRESS_PORTS if site.cluster.ingress_on_vip else ()
    return (site.inventory.endpoint.port, *more)


def _missing(observations: Observations, host: Host) -> tuple[str, ...]:
    units = services.read(observations.of(host.name, services.SUBJECT))
    return tuple(name for name in PACKAGES if not units[name].loaded)


def _packages(observations: Observations, host: Host) -> list[Step]:
    missing = _missing(observations, host)
    script = remembering(install_script(missing), *missing)
    return [RunScript(host.name, "packages", script, timeout=1800)] if missing else []


def _host(observations: Observations, host: Host) -> LoadBalancerHost:
    """What the host's files depend on. Raises Unreadable."""
    try:
        return load_balancer_host.read(observations.of(host.name, load_balancer_host.SUBJECT))
    except Unreadable as error:
        raise Unreadable(f"{host.name}: {error}") from None


def _known(program: Program | None, name: str, host: Host) -> Program:
    """A program whose version is known. Raises Unreadable."""
    if program is None:
        raise Unreadable(
            f"{host.name}: the version of {name} is not known, on which its configuration depends: "
            f"there is no program {name} in PATH. Run `{name} -v` on the host, and reinstall its "
            "package"
        )
    return program


def _unsupported(site: ClusterContext, observations: Observations) -> Iterator[str]:
    for host in site.masters:
        found = _host(observations, host)
        yield from load_balancer_config.problems(host, found, site.inventory.endpoint.vip)
    yield from _beside_others(site, observations)


def _beside_others(site: ClusterContext, observations: Observations) -> Iterator[str]:
    """Hosts that would join with Hale's load balancer while the cluster's masters have another one.

    Two keepalived that do not understand each other's adverts both take the VIP, and a haproxy.cfg
    of Hale's has none of the site's other frontends.
    """
    readings = {h.name: observations.of(h.name, file_digests.SUBJECT) for h in site.masters}
    joined = {name for name, one in readings.items() if file_digests.joined(one)}
    others = [
        f"{path} of {name}"
        for name, one in readings.items()
        for path in UNITS
        if name in joined and path in file_digests.read(one) and not _begun_by_hale(one, path)
    ]
    for name in (name for name in readings if others and name not in joined):
        yield (
            f"{name}: it would join with a load balancer of Hale's beside one that Hale did not "
            f"write ({others[0]}), and both would take the VIP. Configure haproxy and keepalived "
            f"on {name} as on the other control-plane nodes, and set endpoint_kind=external."
        )


def _begun_by_hale(readings: HostView, path: str) -> bool:
    """Whether Hale wrote the file, also if it was edited since. Raises Unreadable."""
    found = readings.file(path)
    return found is not None and any(
        line.startswith("# written by Hale") for line in found.lines[:2]
    )


def _configured(observations: Observations, host: Host) -> bool:
    """Whether keepalived has a configuration to start with once it is installed."""
    return KEEPALIVED in file_digests.read(observations.of(host.name, file_digests.SUBJECT))


def _started(unit: str, action: str, ports: Iterable[int]) -> str:
    words = " ".join(map(str, ports))
    return scripts.load("start_service", unit=unit, action=action, ports=words)


def ca(site: ClusterContext, observations: Observations) -> str:
    """The cluster's CA, from a node that kubeadm has completed; empty before there is one.

    That of an interrupted init does not count: the next init creates another.
    """
    for host in site.masters:
        readings = observations.of(host.name, kubernetes.SUBJECT)
        if not kubernetes.read(readings).finalised:
            continue
        if found := readings.file(kubernetes.CA):
            return "\n".join((*found.lines, ""))
    return ""


def lacks_verified_checks(observations: Observations, host: str) -> bool:
    """Whether a file of Hale's on this host is from before there was a CA. The check is written
    last, once haproxy runs by its own file. Raises Unreadable."""
    readings = observations.of(host, file_digests.SUBJECT)
    there = file_digests.read(readings)
    own = (readings.file(p) for p in (HAPROXY, CHECK) if p in there and there[p].by_hale)
    return any(file is not None and not any(CA in s for s in file.lines) for file in own)


def _files(site: ClusterContext, observations: Observations, host: Host) -> dict[str, str]:
    endpoint = site.inventory.endpoint
    authority = ca(site, observations)
    found = _host(observations, host)
    files = {
        HAPROXY: load_balancer_config.haproxy_config(
            _known(found.haproxy, "haproxy", host).version,
            found.ipv6,
            port=endpoint.port,
            apiserver_port=APISERVER_PORT,
            masters=site.masters,
            ca=CA if authority else "",
            name=endpoint.names[0],
            ingress_ports=INGRESS_PORTS if site.cluster.ingress_on_vip else (),
            workers=site.workers,
        ),
        DROPIN: templates.render("haproxy.conf.j2"),
        CHECK: templates.render(
            "check-apiserver.j2",
            port=endpoint.port,
            name=endpoint.names[0],
            ca=CA if authority else "",
        ),
        KEEPALIVED: load_balancer_config.keepalived_config(
            _known(found.keepalived, "keepalived", host).version,
            check=CHECK,
            interface=vip_conflicts.interface(observations.of(host.name, vip_conflicts.SUBJECT)),
            vrrp_id=site.cluster.vrrp_id,
            # Priorities differ: two nodes that lose the owner at once must not both take over.
            priority=100 + len(site.masters) - site.masters.index(host),
            advert=ADVERT,
            address=host.address,
            peers=[h.address for h in site.masters if h is not host],
            vip=endpoint.vip,
        ),
    }
    if authority:
        files[CA] = authority
    return files
