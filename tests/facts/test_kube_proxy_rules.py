"""The rules that kube_proxy.sh reads, as it is, from an iptables-save and an nft of its own."""

import os
import subprocess
from pathlib import Path

import pytest

from facts.kube_proxy import SCRIPT

RULE = "-A KUBE-SERVICES -d 10.96.0.1/32 -m comment --comment default/kubernetes:https -j KUBE-SVC"
SAVE = f"""#!/bin/sh
printf '*nat\\n-A KUBE-S'
echo '# Warning: iptables-legacy tables present, use iptables-legacy-save to see them' >&2
echo '{RULE.removeprefix("-A KUBE-S")}'
"""
NFT = r"""#!/bin/sh
[ "$4" = kube-proxy ] && [ "$3" = ip ] || { echo 'Error: No such file or directory' >&2; exit 1; }
printf 'table ip kube-proxy {\n\tmap service-ips {\n\t\telements = { 10.96.0.9 . udp . 53 : goto x,'
printf '\n\t\t\t10.96.0.1 . tcp . 443 : goto service-'
echo '# Warning: table ip nat is managed by iptables-nft, do not touch!' >&2
printf 'x-default/kubernetes/tcp/https }\n\t}\n\n\tchain endpoint-y-kube-system/dns/udp/dns {\n'
printf '\t\tmeta l4proto udp dnat to 10.244.0.2:53\n\t}\n\n\tchain services {\n'
printf '\t\tip daddr . meta l4proto . th dport vmap @service-ips\n\t}\n}\n'
"""
NFT_READ = """\
table ip kube-proxy {
\tmap service-ips {
\t\t\t10.96.0.1 . tcp . 443 : goto service-x-default/kubernetes/tcp/https }
\t}
\tchain services {
\t\tip daddr . meta l4proto . th dport vmap @service-ips
\t}
"""
FAILS = "#!/bin/sh\necho 'Fatal: cannot open' >&2\nexit 4\n"


def read(folder: Path, mode: str, **programs: str) -> "subprocess.CompletedProcess[str]":
    curl = f"#!/bin/sh\nprintf '{mode}\\n@ 200\\n'\n"
    for name, text in {"curl": curl, **programs}.items():
        path = folder / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)
    # There is no kube-proxy here: any process is one.
    return subprocess.run(
        ["sh", "-c", SCRIPT.replace("pids=$(", f"pids=$(echo {os.getpid()}; ")],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_warning_breaks_up_no_rule_of_iptables(tmp_path: Path) -> None:
    done = read(tmp_path, "iptables", iptables_save=SAVE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == RULE


def test_of_nftables_the_chains_of_the_first_service_are_read_and_no_warning_breaks_them_up(
    tmp_path: Path,
) -> None:
    done = read(tmp_path, "nftables", nft=NFT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"health 0 @ 200\n{NFT_READ}")


@pytest.mark.parametrize(("mode", "program"), [("iptables", "iptables_save"), ("nftables", "nft")])
def test_rules_that_cannot_be_read_have_a_reason(tmp_path: Path, mode: str, program: str) -> None:
    done = read(tmp_path, mode, **{program: FAILS})
    assert done.returncode == 3
    assert "Fatal: cannot open" in done.stderr
