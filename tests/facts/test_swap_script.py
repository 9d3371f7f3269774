"""swap.sh as a shell runs it: systemd's version by its library, or else by systemctl(1)."""

import re
import subprocess
from pathlib import Path

import pytest

from hale.paths import ROOT
from hale.shell import load_script

SCRIPT = load_script(ROOT / "facts" / "swap.sh")


def version(folder: Path, *libraries: str) -> list[str]:
    """What is printed of the version in a root with these libraries, where systemctl has 219."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "sed").symlink_to("/usr/bin/sed")
    (programs / "systemctl").write_text("#!/bin/sh\necho 'systemd 219 (219-78.el7)'; echo +PAM\n")
    (programs / "systemctl").chmod(0o755)
    for library in libraries:
        (folder / library).parent.mkdir(parents=True, exist_ok=True)
        (folder / library).touch()
    script = re.sub(r"(?<= )/(?=(usr/)?lib/(\*/)?systemd/libsystemd)", f"{folder}/", SCRIPT)
    assert script.count(str(folder)) == 4
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [line for line in done.stdout.splitlines() if line.startswith("systemd ")]


@pytest.mark.parametrize(
    ("libraries", "expected"),
    [
        (["usr/lib/systemd/libsystemd-shared-252.so"], "systemd 252"),
        (["usr/lib/systemd/libsystemd-shared-257.5-1.fc42.so"], "systemd 257"),
        (["lib/x86_64-linux-gnu/systemd/libsystemd-shared-255.so"], "systemd 255"),
        (
            ["usr/lib/systemd/libsystemd-shared-252.so", "lib/systemd/libsystemd-shared-252.so"],
            "systemd 252",
        ),
        # Which one is in use, its name does not tell.
        (
            [
                "usr/lib/systemd/libsystemd-shared-252.so",
                "usr/lib/systemd/libsystemd-shared-254.so",
            ],
            "systemd 219",
        ),
        (["usr/lib/systemd/libsystemd-shared-main.so"], "systemd 219"),
        ([], "systemd 219"),
    ],
)
def test_the_version(tmp_path: Path, libraries: list[str], expected: str) -> None:
    assert version(tmp_path, *libraries) == [expected]
