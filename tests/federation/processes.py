"""etcd, apiservers and Karmada's programs, as processes of one network namespace."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

YAML, JSON = "application/yaml", "application/json"
#: On a busy machine an apiserver takes a minute to start.
SECONDS = 300.0


def until(what: str, check: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait for a condition. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.5)


class Processes:
    """Programs that run, by name; each logs to a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str]) -> None:
        """Start it in the background."""
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                list(map(str, argv)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **env},
            )

    def number(self, name: str) -> int:
        """The number of its process."""
        return self._running[name].pid

    def signal(self, name: str, number: signal.Signals) -> None:
        """SIGSTOP stops its clock, SIGCONT lets it go on."""
        self._running[name].send_signal(number)

    def end(self, name: str) -> None:
        """End it at once, and wait."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def end_all(self) -> None:
        """End all that run."""
        for name in list(self._running):
            self.end(name)


class Api:
    """An apiserver, as an administrator of it."""

    def __init__(self, address: str, port: int, ca: Path, client: tuple[Path, Path]) -> None:
        self._at = address, port
        self._tls = ssl.create_default_context(cafile=str(ca))
        self._tls.load_cert_chain(*map(str, client))

    def request(
        self, method: str, path: str, body: str | dict[str, Any] | None = None, kind: str = JSON
    ) -> tuple[int, dict[str, Any]]:
        """Status and document of the answer; (0, {}) where there is none."""
        connection = http.client.HTTPSConnection(*self._at, context=self._tls, timeout=30)
        text = json.dumps(body) if isinstance(body, dict) else body
        try:
            headers = {"Content-Type": kind} if text else {}
            connection.request(method, path, text.encode() if text else None, headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            return 0, {}
        finally:
            connection.close()
        try:
            return answer.status, json.loads(content)
        except ValueError:
            return answer.status, {}

    def get(self, path: str) -> dict[str, Any]:
        """The object; empty where it is not there."""
        status, document = self.request("GET", path)
        return document if status == 200 else {}

    def create(self, path: str, body: str | dict[str, Any], kind: str = JSON) -> None:
        """Make an object. Raises RuntimeError."""
        status, document = self.request("POST", path, body, kind)
        if status not in (200, 201):
            raise RuntimeError(f"POST {path}: HTTP {status} {document.get('message', '')}")

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """Merge into an object. Raises RuntimeError."""
        status, document = self.request("PATCH", path, body, "application/merge-patch+json")
        if status != 200:
            raise RuntimeError(f"PATCH {path}: HTTP {status} {document.get('message', '')}")

    def delete(self, path: str) -> None:
        """Delete an object now. Raises RuntimeError."""
        status, document = self.request("DELETE", path, {"gracePeriodSeconds": 0})
        if status != 200:
            raise RuntimeError(f"DELETE {path}: HTTP {status} {document.get('message', '')}")

    def answers(self) -> bool:
        """Whether it is ready."""
        return self.request("GET", "/readyz")[0] == 200
