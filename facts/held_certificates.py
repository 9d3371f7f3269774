"""Processes that started before the certificate that they use was renewed, and hold the old one.

The controller manager and the scheduler read the certificate inside their kubeconfig once, and so
does a kubelet whose kubeconfig contains one; one in a file that a kubeconfig names is read again.
So a kubeconfig that is younger than the process is not the one that the process uses, and
the date of the one in use is not known. That the certificate in it is another one, and the file not
only touched or written again with the same content, its own dates show: it is valid from a moment
after the process's start, or its end is a number of days of 24 hours after the file was written, as
kubeadm and openssl make certificates. What shows neither is UNKNOWN.

A process's start is known in time since the boot, a file's change by the clock of then. Where the
clock was stepped since the boot, both are comparable only as far as they are further apart than
that step; what is nearer is UNKNOWN. A file whose attributes alone changed since (or that was put
back with its old time) is UNKNOWN too, and so is an old file with a certificate that is valid from
a moment after the start. A clock that was stepped back, and put right after a certificate was made
and written by it, shows in none of these, and may PASS.

Sources: proc_pid_stat(5) (starttime); stat(2) (st_mtime, st_ctime); kubernetes.io, "Certificate
Management with kubeadm" (restart after a renewal); client-go's transport/cert_rotation.go;
kubeadm's pki_helpers.go (NotBefore is the CA's); openssl-x509(1), -days.
"""

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from facts.parsers import kubelet_config, static_pod
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import CommandProbe, ConfigLine, HostView, NotApplicable, Probe, Unreadable
from hale.model.requirement import Case
from hale.shell import PROCESSES, script_with

CONF = "/etc/kubernetes/kubelet.conf"
# Seconds within which two moments are not told apart: a kubelet starts its first static Pods some
# seconds after their kubeconfigs were written.
PRECISION = 1.0
# What looks like a step of the clock where systemd's stamp is in full seconds.
STAMP_PRECISION = 2.0
# Seconds within which kubeadm writes a certificate that it has made, on a busy machine.
WRITTEN_WITHIN = 120.0
DAY = 86400.0
_PROCESS = re.compile(r"process (\S{1,40}) (\d{1,10}) (\d{1,20}) (/\S+)", re.ASCII)
_TIME = r"(\d{1,12}\.\d{1,9})"
_FILE = re.compile(rf"file {_TIME} {_TIME} (/\S+)", re.ASCII)
_NOW = re.compile(rf"now {_TIME} {_TIME} ([1-9]\d{{0,5}})", re.ASCII)
SCRIPT = (
    PRELUDE
    + PROCESSES
    + script_with(
        Path(__file__).with_suffix(".sh"),
        folder=static_pod.FOLDER,
        config=kubelet_config.PATH,
        conf=CONF,
    )
)


class HeldCertificatesParameters(Struct, frozen=True):
    """None: what a process reads once is Kubernetes' own."""


class HeldCertificatesRuntime(Struct, frozen=True):
    """held: processes that hold an earlier certificate, in words; judged: the number of all."""

    judged: int
    held: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        if not self.held:
            return (
                f"{self.judged} process(es) started after the last change of their kubeconfig"
                if self.judged
                else "no process here reads its certificate only once"
            )
        return "; ".join([*self.held, *self.unread])


def probes(host: Host, cases: Sequence[Case[HeldCertificatesParameters]]) -> tuple[Probe, ...]:
    """The processes and the kubeconfigs of all of them, and the clocks."""
    return (CommandProbe("processes", SCRIPT),)


def read_runtime(
    readings: HostView, case: Case[HeldCertificatesParameters]
) -> HeldCertificatesRuntime:
    """Processes that are older than their kubeconfig. Raises NotApplicable, Unreadable."""
    lines = readings.output("processes").lines
    if lines == ["not joined"]:
        raise NotApplicable(f"this host is not a node yet (no {kubelet_config.PATH})")
    now = _NOW.fullmatch(lines[0] if lines else "")
    if not now or "end" not in lines:
        raise Unreadable("the answer is incomplete")
    booted = float(now[1]) - float(now[2])
    files = {m[3]: (float(m[1]), float(m[2])) for line in lines if (m := _FILE.fullmatch(line))}
    validity = {path: _validity(lines, path) for path in files}
    processes = [m for line in lines if (m := _PROCESS.fullmatch(line))]
    margin = PRECISION + (_step(lines, booted) if processes else 0)
    held, unread = [], []
    for process in processes:
        name, pid, ticks, path = process.groups()
        if path not in files:
            raise Unreadable(f"{name}: there is no {path}")
        started = booted + int(ticks) / int(now[3])
        modified, changed = files[path]
        begin, end = validity[path]
        begins_later = begin > started + margin
        if changed < started - margin and not begins_later:
            continue
        until_written = (modified - end) % DAY
        made = modified - until_written if end and until_written < WRITTEN_WITHIN else begin
        if changed < started - margin:
            unread.append(
                f"{name} (process {pid}) started after {path} was last written, by the file's "
                "times, but the certificate in it is valid from a later moment: a clock was wrong; "
                "a restart decides it"
            )
        elif modified > started + margin and made > started + margin:
            held.append(
                f"{name} (process {pid}) started {_length(modified - started)} before {path} was "
                "written, and holds the certificate from before"
            )
        elif modified > started + margin:
            unread.append(
                f"{name} (process {pid}) started {_length(modified - started)} before {path} was "
                "written; whether with another certificate is unknown, its dates do not show it; a "
                "restart decides it"
            )
        else:
            unread.append(
                f"{name} (process {pid}): whether it started before {path} was last written is "
                "unknown: the times are too near, or its attributes alone changed; a restart "
                "decides it"
            )
    if unread and not held:
        raise Unreadable("; ".join(unread))
    return HeldCertificatesRuntime(len(processes), tuple(held), tuple(unread))


def _validity(lines: Sequence[str], path: str) -> tuple[float, float]:
    """From and to when the certificate in that file is valid, zeros for none. Raises Unreadable."""
    from cryptography import x509  # slower to import than all of facts/, and not always needed

    _, _, text = "\n".join(lines).partition(f"certificate {path}\n")
    encoded = text.partition("\n")[0]
    if not encoded or " " in encoded or encoded == "end":
        return 0.0, 0.0
    try:
        first = x509.load_pem_x509_certificates(base64.b64decode(encoded, validate=True))[0]
    except ValueError as error:
        raise Unreadable(f"{path}: its certificate cannot be read: {error}") from None
    return first.not_valid_before_utc.timestamp(), first.not_valid_after_utc.timestamp()


def _length(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _step(lines: Sequence[str], booted: float) -> float:
    """Seconds by which the clock was stepped since the boot, either way. Raises Unreadable.

    systemd keeps both clocks of one moment of the boot.
    """
    pairs = (line.partition("=") for line in lines)
    stamp = {name: value for name, _, value in pairs if name.startswith("UserspaceTimestamp")}
    try:
        then = datetime.strptime(stamp["UserspaceTimestamp"], "%a %Y-%m-%d %H:%M:%S UTC")
        since = int(stamp["UserspaceTimestampMonotonic"]) / 1e6
        step = abs(booted - (then.replace(tzinfo=UTC).timestamp() - since))
    except (ValueError, KeyError, OverflowError):
        raise Unreadable("systemd does not tell when this host booted, by both clocks") from None
    return step if step > STAMP_PRECISION else 0.0
