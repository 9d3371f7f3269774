"""Programs built from pinned Go modules, and the Go that builds them.

Each has a folder here with a go.mod and a go.sum, which name every module with its hash; the
modules come from the Go module proxy, or wherever the machine's GOPROXY says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import prerequisites
from lab.build import Cache
from lab.errors import LabError

#: The toolchain that a machine gets whose own Go is too old or not there.
TOOLCHAIN = "1.26.8"

_HINT = (
    "Usual causes: no way to the Go module proxy (`go env GOPROXY`), or a full disk. Then run "
    "`invoke lab.supply` again; what was compiled is not compiled again."
)
_FOLDER = Path(__file__).parent
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Module:
    """A folder here with a go.mod, and the packages that are built from it.

    `packages` gives the name of each program by its package, `variables` the values that the
    linker sets.
    """

    name: str
    packages: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the go.mod is."""
        return _FOLDER / self.name

    @property
    def needs(self) -> tuple[int, ...]:
        """The Go that the go.mod asks for."""
        found = re.search(r"^go ([0-9.]+)$", (self.folder / "go.mod").read_text(), re.MULTILINE)
        assert found, f"{self.folder}/go.mod has no go line"
        return _numbers(found[1])

    def inputs(self) -> dict[str, object]:
        """All that the programs are made of."""
        sources = sorted(
            p for p in self.folder.rglob("*") if p.suffix in (".mod", ".sum", ".go", ".html")
        )
        return {
            "packages": dict(self.packages),
            "variables": dict(self.variables),
            "sources": {str(p.relative_to(self.folder)): p.read_text() for p in sources},
            "architecture": os.uname().machine,
        }


def build_module(building: Cache, module: Module) -> Path:
    """The folder with the module's programs, built if they are not there.

    Raises LabError with the end of the compiler's words.
    """

    def make(folder: Path) -> Path:
        go = toolchain(building, module.needs)
        programs = folder / "programs"
        programs.mkdir()
        flags = ["-s", "-w", *(f"-X {name}={value}" for name, value in module.variables.items())]
        argv = [str(go), "build", "-C", str(module.folder), "-v", "-trimpath", "-mod=readonly",
                "-buildvcs=false", f"-ldflags={' '.join(flags)}", "-o", f"{programs}/",
                *module.packages]  # fmt: skip
        _go(
            building,
            argv,
            folder,
            f"building {module.name} ({', '.join(module.packages.values())})",
        )
        for package, name in module.packages.items():
            (programs / _program(package)).rename(programs / name)
        return programs

    return building.entry(module.name, module.inputs(), make)


def download_module(building: Cache, module: Module, path: str, folder: Path) -> Path:
    """The folder with the sources of one of the go.mod's modules, downloaded if it is not there.

    folder: to work in. Raises LabError.
    """
    go = str(toolchain(building, module.needs))
    _go(building, [go, "mod", "download", "-C", str(module.folder), path], folder,
        f"downloading {path}")  # fmt: skip
    argv = [go, "list", "-C", str(module.folder), "-m", "-f", "{{.Dir}}", path]
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    if done.returncode or not done.stdout.strip():
        raise LabError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def _program(package: str) -> str:
    """What `go build` calls the program of a package (`go help build`)."""
    parts = package.split("/")
    return parts[-2] if re.fullmatch(r"v[0-9]+", parts[-1]) else parts[-1]


def toolchain(building: Cache, needs: tuple[int, ...]) -> Path:
    """A Go of at least that version: the machine's own, or one for the lab alone.

    Any Go of the machine can fetch a newer one as a module (https://go.dev/ref/mod#toolchains
    says how it is named); a machine without gets Debian's first.
    """
    if (own := shutil.which("go")) and _version(own) >= needs:
        return Path(own)

    def make(folder: Path) -> Path:
        if not own:
            prerequisites.install_missing(building.say, {"go": "golang-go"})
        go = own or "/usr/bin/go"
        module = f"golang.org/toolchain@v0.0.1-go{TOOLCHAIN}.linux-{_architecture()}"
        argv = [go, "mod", "download", module]
        _go(building, argv, folder, f"getting Go {TOOLCHAIN}, newer than the machine's",
            {"GOMODCACHE": str(folder / "modules"), "GOFLAGS": "-modcacherw"})  # fmt: skip
        found = folder / "modules" / module
        for program in [*found.glob("bin/*"), *found.glob("pkg/tool/*/*")]:
            program.chmod(0o755)  # a module holds no modes
        return found

    inputs = {"version": TOOLCHAIN, "architecture": _architecture()}
    return building.entry("go", inputs, make) / "bin/go"


def _go(
    building: Cache,
    argv: Sequence[str],
    folder: Path,
    title: str,
    variables: Mapping[str, str] | None = None,
) -> None:
    # GOTOOLCHAIN: no other Go than the one that was chosen here.
    settled = {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local", **(variables or {})}
    building.run(argv, folder, title, _HINT, settled)


def _version(go: str) -> tuple[int, ...]:
    """The version of a Go, or () where it does not say one."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "version"], capture_output=True, text=True, env=environment, check=False
    )
    found = re.search(r"\bgo([0-9.]+)", done.stdout)
    return _numbers(found[1]) if found else ()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)


def _architecture() -> str:
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)
