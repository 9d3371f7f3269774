"""Faults of chapter 9 (4): limits of logins."""

from collections.abc import Sequence

from lab.faults.fault import ExpectedResult, HostFault, fail, unknown

HOST = "k8s-node-01"
MAIN = "/etc/security/limits.conf"
LATE = "/etc/security/limits.d/90-site.conf"
FILES = (MAIN, "/etc/security/limits.d")


def both(requirement: str, runtime: str, persisted: str) -> dict[str, ExpectedResult]:
    """Both aspects of a limit fail: pam_limits reads its files at every login."""
    return {f"{requirement} runtime": fail(runtime), f"{requirement} persisted": fail(persisted)}


def limit(
    name: str, inject: str, turns: dict[str, ExpectedResult], files: Sequence[str] = FILES
) -> HostFault:
    """A fault in the files of pam_limits."""
    return HostFault(name, HOST, inject, turns, files)


FAULTS = (
    limit(
        "limit overridden in limits.d",
        f"printf '* soft nofile 1024\\n* hard nofile 4096\\n' >{LATE}",
        both("LIM-NOFILE", "nofile soft 1024, hard 4096", f"{LATE}:1 and {LATE}:2"),
    ),
    limit(
        "limit overridden with `-`, soft and hard at once",
        f"printf '*\\t-\\tnproc\\t1000\\n' >{LATE}",
        both("LIM-NPROC", "nproc soft 1000, hard 1000", f"{LATE}:1"),
    ),
    limit(
        "hard limit lower than the soft one",
        f"echo '* hard memlock 64' >{LATE}",
        both("LIM-MEMLOCK", "memlock soft 64 KiB, hard 64 KiB", f"{LATE}:1"),
    ),
    limit(
        "soft limit alone is low",
        f"echo '* soft nofile 1024' >{LATE}",
        both("LIM-NOFILE", "nofile soft 1024, hard", f"{LATE}:1"),
    ),
    limit(
        "limit one below what is wanted",
        f"n=$(sed -n 's/^. soft nproc //p' {MAIN}); echo \"* - nproc $((n - 1))\" >{LATE}",
        both("LIM-NPROC", "a fresh login of ops gets nproc soft", f"{LATE}:1: nproc"),
    ),
    limit(
        "limit of one user beats the line for all",
        f"sed -i '1i ops - nproc 500' {MAIN}",
        both("LIM-NPROC", "nproc soft 500, hard 500", f"{MAIN}:1"),
    ),
    limit(
        "limit of a group beats the line for all",
        f"sed -i '1i @ops hard nofile 2048' {MAIN}",
        both("LIM-NOFILE", "hard 2048", f"{MAIN}:1"),
    ),
    limit(
        "user taken out of all limits",
        f"echo 'ops -' >>{MAIN}",
        {
            "LIM-NOFILE persisted": fail("takes ops out of all limits"),
            "LIM-NOFILE runtime": fail("nofile soft 1024"),
            # What sshd itself has, a login has: enough here.
            "LIM-NPROC persisted": fail("takes ops out of all limits"),
            "LIM-MEMLOCK persisted": fail("takes ops out of all limits"),
        },
    ),
    limit(
        "number with a comma, which ends it",
        f"echo '* - nproc 65,536' >{LATE}",
        both("LIM-NPROC", "nproc soft 65, hard 65", f"{LATE}:1"),
    ),
    limit(
        "limits of root forgotten",
        f"sed -i '/^root/d' {MAIN}",
        {
            "LIM-ROOT-NOFILE persisted": fail("no line sets nofile for root"),
            "LIM-ROOT-NOFILE runtime": fail("a fresh login of root gets nofile soft 1024"),
            "LIM-ROOT-NPROC persisted": fail("no line sets nproc for root"),
            "LIM-ROOT-MEMLOCK persisted": fail("no line sets memlock for root"),
        },
    ),
    limit(
        "soft limits of root are low",
        f"printf 'root soft nproc 1000\\nroot soft memlock 64\\n' >{LATE}",
        {
            **both("LIM-ROOT-NPROC", "nproc soft 1000", f"{LATE}:1"),
            **both("LIM-ROOT-MEMLOCK", "memlock soft 64 KiB", f"{LATE}:2"),
        },
    ),
    limit(
        "logins bypass pam_limits",
        "sed -i '/pam_limits.so/d' /etc/pam.d/sshd",
        {
            **both("LIM-NOFILE", "sshd's own limits", "does not call it"),
            **both("LIM-ROOT-NOFILE", "sshd's own limits", "does not call it"),
            "LIM-NPROC persisted": fail("does not call it"),
            "LIM-MEMLOCK persisted": fail("does not call it"),
            "LIM-ROOT-NPROC persisted": fail("does not call it"),
            "LIM-ROOT-MEMLOCK persisted": fail("does not call it"),
        },
        files=("/etc/pam.d/sshd",),
    ),
    HostFault(
        "limit lowered by a login shell's profile",
        "k8s-node-02",
        "echo 'ulimit -n 1024' >/etc/profile.d/limits.sh",
        {
            "LIM-NOFILE runtime": fail("/etc/profile.d/limits.sh:1 (ulimit -n 1024)"),
            "LIM-ROOT-NOFILE runtime": fail("/etc/profile.d/limits.sh:1 (ulimit -n 1024)"),
        },
        ("/etc/profile.d/limits.sh",),
    ),
    limit(
        "limit lowered by a user's .bashrc, in interactive shells alone",
        "echo 'ulimit -u 500' >>~ops/.bashrc",
        {"LIM-NPROC runtime": fail(".bashrc:")},
        files=("/home/ops/.bashrc",),
    ),
    limit(
        "login shell whose start-up file ends it",
        "echo exit >>~ops/.bashrc",
        {
            f"{requirement} runtime": unknown("the login shell /bin/bash ran no command")
            for requirement in ("LIM-NOFILE", "LIM-NPROC", "LIM-MEMLOCK")
        },
        files=("/home/ops/.bashrc",),
    ),
    limit(
        "fs.nr_open below the limit at the next boot",
        "echo fs.nr_open=1024 >/etc/sysctl.d/zz-site.conf",
        {
            "LIM-NOFILE persisted": fail("above the fs.nr_open of the next boot, 1024"),
            "LIM-ROOT-NOFILE persisted": fail("above the fs.nr_open of the next boot, 1024"),
        },
        files=("/etc/sysctl.d",),
    ),
    limit(
        "limits set twice, and low ones in a comment and in a file that is not read",
        f"grep '^. soft' {MAIN} >{LATE}; echo '* - nproc 5' >{LATE}.off;"
        f" echo '#* - nofile 5' >>{MAIN}",
        {},
    ),
)
