"""Chromium as a reader uses it: real keys, paper, a phone, a dark screen.

It is driven by its DevTools protocol over two pipes (`--remote-debugging-pipe`): JSON messages,
each with a NUL at its end. Source: chromedevtools.github.io/devtools-protocol.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.reports import pages

TIMEOUT = 100.0  # seconds for one answer, on a busy machine
#: Keys by name: what the protocol needs beside it (Input.dispatchKeyEvent).
KEYS: Mapping[str, Mapping[str, Any]] = {
    "Tab": {"windowsVirtualKeyCode": 9},
    "Enter": {"windowsVirtualKeyCode": 13, "text": "\r"},
    " ": {"windowsVirtualKeyCode": 32, "text": " "},
}


class Browser:
    """One Chromium with one page."""

    def __init__(self, folder: Path) -> None:
        theirs, self._out = _pipe()
        self._in, their_out = _pipe()
        command = [pages.chromium(), *pages.QUIET, "--remote-debugging-pipe"]
        command += [f"--user-data-dir={folder}", "about:blank"]
        nothing = (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)
        self._pid = os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                nothing,
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, theirs, 3),
                (os.POSIX_SPAWN_DUP2, their_out, 4),
            ],
            setpgroup=0,
        )
        os.close(theirs)
        os.close(their_out)
        self._rest = b""
        self._number = 0
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")

    def close(self) -> None:
        """End it, with all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a method of the protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        raw = json.dumps(message).encode() + b"\0"
        while raw:
            raw = raw[os.write(self._out, raw) :]
        for answer in self._messages():
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError("unreachable")

    def open(self, path: Path, fragment: str = "") -> None:
        """Go to a file's page, and wait until it is loaded."""
        self.go(path.as_uri() + fragment)

    def go(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.evaluate(
            "new Promise(done => document.readyState === 'complete' ? done()"
            " : addEventListener('load', done))"
        )

    def evaluate(self, script: str) -> Any:
        """The value of an expression, of a promise once it is kept."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """One key, as from a keyboard: a name of KEYS, or a character."""
        more = KEYS.get(key, {"text": key})
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def show(self, width: int, height: int, *, mobile: bool = False, scheme: str = "light") -> None:
        """A screen of that size, in CSS pixels, for a reader who likes it light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def pdf(self) -> bytes:
        """The page on paper, of the size that its style wants."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def screenshot(self) -> bytes:
        """What the screen shows, as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def _messages(self) -> Iterator[dict[str, Any]]:
        late = time.monotonic() + TIMEOUT
        while True:
            line, found, rest = self._rest.partition(b"\0")
            if found:
                self._rest = rest
                yield json.loads(line)
                continue
            ready, _, _ = select.select([self._in], [], [], max(0.0, late - time.monotonic()))
            assert ready, "Chromium does not answer"
            read = os.read(self._in, 1 << 20)
            assert read, "Chromium has ended"
            self._rest += read


def _pipe() -> tuple[int, int]:
    """Its ends, away from the numbers that Chromium reads and writes."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
