"""Makes data/ from a run on the lab: `python -m tests.reports.record_evidence reports/<run>`.

What names the machine that the lab stood on is replaced, and what the tests do not look at is
left out, so that the files stay small. Run it again when the form of the evidence changes;
`pytest tests/reports --update-golden` follows.
"""

import re
import sys
from pathlib import Path

import msgspec

from hale.audit import evidence_file, results_file
from hale.files import provenance

DATA = Path(__file__).parent / "data"
SUBJECTS = ("br_netfilter", "bridge", "hostname", "hosts_file", "identity", "swap", "sysctl")
LEFT_OUT = re.compile(r"/pam\.d|/security/|/ssh|/udev|/network|firewalld|selinux")
CMDLINE = "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet"
MOUNT_TABLE = "/proc/self/mountinfo"
ROOT_MOUNT = "30 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw"
KERNEL = "6.1.0-28-amd64"
EXCERPT = 160


def main(run: Path) -> None:
    """Write data/evidence.json and data/results.json."""
    found = results_file.load_results(run / "results.json")
    kernels = {host.kernel for host in found.hosts if host.kernel}

    def scrubbed(text: str) -> str:
        for kernel in kernels:
            text = text.replace(kernel, KERNEL)
        return re.sub(r"/[\w./-]*/inventory\.ini", "inventory.ini", text)

    saved = evidence_file.load_evidence(run / "evidence.json")
    raw = msgspec.to_builtins(saved)
    raw["inventory"] = "inventory.ini"
    raw["inventory_sha256"] = provenance.sha256(DATA / "inventory.ini")
    for host in raw["hosts"].values():
        host["outputs"] = {
            name: output
            for name, output in host["outputs"].items()
            if name.partition(".")[0] in SUBJECTS
        }
        host["patterns"] = sorted(p for p in host["patterns"] if not LEFT_OUT.search(p))
        listed = {}
        for path, file in host["listed"].items():
            if LEFT_OUT.search(path):
                continue
            if path == "/proc/cmdline":
                file["content"] = [CMDLINE]
            if path == MOUNT_TABLE:
                file["content"] = [ROOT_MOUNT]
            file["device"] = "8:1"
            if file["content"]:
                file["content"] = [scrubbed(line) for line in file["content"]]
            listed[path] = file
        host["listed"] = listed
    (DATA / "evidence.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(raw, order="sorted"), indent=1) + b"\n"
    )

    document = msgspec.to_builtins(found)
    document["run"] |= {
        "operator": "ops",
        "source_host": "bastion",
        "inventory": "inventory.ini",
        "command_line": ["pytest", "--inventory=inventory.ini", "--hosts=all"],
        "git_revision": "0123456789abcdef0123456789abcdef01234567",
    }
    for host in document["hosts"]:
        host["kernel"] = KERNEL if host["kernel"] else ""
    for row in document["results"]:
        kept = []
        decided = {setting["path"] for setting in row["settings"]}
        row["evidence"].sort(key=lambda e: e["probe"] not in decided)
        for reading in row["evidence"][:3]:
            reading["output"] = reading["output"][:EXCERPT]
            if reading["probe"] == "/proc/cmdline":
                reading["output"] = CMDLINE
            kept.append(reading)
        row["evidence"] = kept
    text = scrubbed(msgspec.json.format(msgspec.json.encode(document), indent=1).decode())
    (DATA / "results.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
