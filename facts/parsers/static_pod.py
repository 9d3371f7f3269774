"""A static Pod's manifest: the flags of its program, and which folder of the host it sees. Not a
subject.

Source: kubernetes.io, "Create static Pods", "Volumes" (hostPath), Pod v1; kubeadm's implementation
details, "Generate static Pod manifests" (one container, its flags as `--name=value`).
"""

from functools import lru_cache
from typing import Any

from msgspec import Struct

from facts.parsers import host_yaml
from hale.model.evidence import HostView, Unreadable

FOLDER = "/etc/kubernetes/manifests"


class StaticPod(Struct, frozen=True):
    """The words of its command and arguments; mounts: folder in the container -> on the host."""

    path: str
    words: tuple[str, ...]
    mounts: dict[str, str]

    def flag(self, name: str) -> str | None:
        """The value of `--NAME=value` or `--NAME value`, the last one; None without it."""
        found = None
        for at, word in enumerate(self.words):
            option, equals, value = word.partition("=")
            if option == f"--{name}":
                found = value if equals else "".join(self.words[at + 1 : at + 2])
        return found

    def on_host(self, folder: str) -> str:
        """Where the host has this folder or file of the container. Raises Unreadable."""
        folder = folder.rstrip("/") or "/"
        inside = [m for m in self.mounts if folder == m or folder.startswith(f"{m.rstrip('/')}/")]
        if not inside:
            raise Unreadable(f"{self.path} mounts no folder of the host at {folder}")
        mount = max(inside, key=len)
        return self.mounts[mount].rstrip("/") + folder[len(mount.rstrip("/")) :]


def manifest_of(component: str) -> str:
    """kubeadm's file: /etc/kubernetes/manifests/COMPONENT.yaml."""
    return f"{FOLDER}/{component}.yaml"


def read(readings: HostView, component: str) -> StaticPod | None:
    """The component's manifest; None where there is no file. Raises Unreadable."""
    path = manifest_of(component)
    file = readings.file(path)
    if file is None:
        return None
    found = _parsed(path, "\n".join(file.lines))
    if found is None:
        raise Unreadable(f"{path} is not the manifest of a Pod with one {component}")
    return found


@lru_cache(maxsize=64)  # several requirements ask for one file
def _parsed(path: str, text: str) -> StaticPod | None:
    component = path.rpartition("/")[2].removesuffix(".yaml")
    try:
        # The container that has the component's program, by its name or its command.
        spec = host_yaml.load(text, path)["spec"]
        volumes = {v["name"]: v["hostPath"]["path"] for v in spec["volumes"] if "hostPath" in v}
        for container in spec["containers"]:
            words = [*_words(container, "command"), *_words(container, "args")]
            if container["name"] == component:
                mounts = {
                    str(m["mountPath"]).rstrip("/") or "/": str(volumes[m["name"]])
                    for m in container.get("volumeMounts") or ()
                    if m["name"] in volumes and not m.get("subPath")
                }
                return StaticPod(path, tuple(words), mounts)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return None


def _words(container: dict[str, Any], key: str) -> list[str]:
    return [str(word) for word in container.get(key) or ()]
