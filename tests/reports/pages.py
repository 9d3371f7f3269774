"""What report.html has: its markup, the rows in its JSON, and what a browser makes of it."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hale.report import html

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Markup(HTMLParser):
    """What a browser would find: tags with their attributes, and texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Page:
    """The data of a page, as its script reads them."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def data(self) -> dict[str, Any]:
        (block,) = re.findall(
            r'<script type="application/json" id="data">(.*?)</script>', self.text, re.DOTALL
        )
        found: dict[str, Any] = json.loads(block)
        return found

    def words(self, numbers: list[int]) -> list[str]:
        return [self.data["texts"][number] for number in numbers]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The table's rows in order, every number replaced by what it stands for."""
        return [self._row(row) for row in self.data["rows"]]

    def _row(self, row: list[Any]) -> dict[str, Any]:
        texts, names = self.data["texts"], self.data["fields"]
        raw = dict(zip(names, row + [0] * (len(names) - len(row)), strict=True))
        stated = self.data["requirements"][raw["requirement"]]
        plain = ("host", "aspect", "expected", "actual", "log")
        found = {name: texts[raw[name]] for name in plain}
        found |= {name: texts[stated[name]] for name in ("title", "severity", "subject")}
        found["requirement"] = texts[stated["id"]]
        found["id"] = f"{found['host']}/{found['requirement']}/{found['aspect']}"
        found["verdict"] = self.data["verdicts"][raw["verdict"]]["name"]
        found["proven"] = bool(raw["reboot_proven"])
        found["settings"] = [
            (f"{texts[path]}:{line}", texts[text], bool(wins), texts[note])
            for path, line, text, wins, note in map(
                self.data["settings"].__getitem__, raw["settings"] or ()
            )
        ]
        found["evidence"] = [
            [texts[probe], status, texts[output], texts[time]]
            for probe, status, output, time in map(
                self.data["evidence"].__getitem__, raw["evidence"] or ()
            )
        ]
        found["overrides"] = self.words(raw["overrides"] or [])
        found["waiver"] = self.words(raw["waiver"] or [])
        return found

    @cached_property
    def site_checks(self) -> list[dict[str, Any]]:
        names = ("outcome", "test", "message", "text", "output")
        return [
            dict(zip(names, self.words(check[:5]), strict=True))
            | {"properties": self.words(check[5])}
            for check in self.data["siteChecks"]
        ]


def chromium() -> str:
    """The browser; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium here")
    return found


def browse(page: str, folder: Path, script: str, fragment: str = "", *more: str) -> dict[str, Any]:
    """What `script` finds: it calls `note(name, value)`, and may use `await`."""
    path = folder / "probe.html"
    script = f"""(async () => {{
        const noted = [];
        const note = (name, value) => noted.push([name, value]);
        const wait = (ms) => new Promise(done => setTimeout(done, ms));
        try {{ {script} }} catch (error) {{ note('error', String(error)); }}
        document.body.textContent = '';
        const pre = document.createElement('pre');
        pre.textContent = JSON.stringify(noted);
        document.body.appendChild(pre);
    }})();"""
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = page.replace("script-src ", f"script-src 'sha256-{allowed}' ".replace("'", "&#39;"))
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"))
    ran = subprocess.run(
        [chromium(), *QUIET, f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=8000",
         *more, "--dump-dom", path.as_uri() + fragment],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    texts = Markup(ran.stdout).text
    found = dict(json.loads(texts[texts.index("[[") :]))
    assert "error" not in found, found["error"]
    return found


def ids(page: str) -> list[str]:
    """The addresses of the rows."""
    return [row["id"] for row in Page(page).rows]


#: The heads of the table's columns.
HEADS = tuple(html.COLUMNS.values())
