"""How a reviewer reads a page in Chromium: screens of every kind, keys alone, paper.

axe-core (axe.py) must find no serious fault on any of the screens.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.reports import axe
from tests.reports.browser import Browser

#: Width, height, whether it is a telephone, and the scheme.
SCREENS = {
    "desk": (1280, 800, False, "light"),
    "dark": (1280, 800, False, "dark"),
    "phone": (360, 740, True, "light"),
}
_OPEN_ALL = "document.querySelectorAll('details').forEach(each => { each.open = true; })"
# What has the focus, and whether the reader sees that.
_FOCUS = """(() => { const at = document.activeElement; const style = getComputedStyle(at);
  return [at.tagName, at.name || at.id || at.textContent.trim().slice(0, 40),
    at.closest('tbody')?.id || '',
    style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0]; })()"""
_COUNT = "document.getElementById('count').textContent"


def assert_readable(browser: Browser, page: Path, screen: str, axe_core: str) -> None:
    """The page fits the screen's width, has its scheme, and no serious fault of accessibility."""
    width, height, mobile, scheme = SCREENS[screen]
    browser.show(width, height, mobile=mobile, scheme=scheme)
    browser.open(page, "#?verdict=FAIL")
    browser.evaluate(_OPEN_ALL)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == (scheme == "dark")
    browser.evaluate(axe_core)
    assert browser.evaluate(axe.RUN) == []


def type_filter(browser: Browser, word: str, shown: str) -> None:
    """Type a filter of an audit's page and wait until it counts `shown`.

    On a busy machine the page filters after each key.
    """
    for key in f"/{word}":
        browser.press(key)
    browser.evaluate(
        f"new Promise(done => {{ const look = () => {_COUNT} === '{shown}' && "
        f"location.hash === '#?q={word}' ? done() : requestAnimationFrame(look); look(); }})"
    )


def reach_row_by_keys(browser: Browser) -> list[str]:
    """Go from the top of an audit's page to its first row by Tab, open and close it.

    Returns the names of what had the focus on the way; each showed it.
    """
    reached, row = [], ""
    for _ in range(400):
        browser.press("Tab")
        tag, name, row, outlined = browser.evaluate(_FOCUS)
        assert outlined, f"{tag} {name} has the focus, and does not show it"
        reached.append(name)
        if tag == "BUTTON" and row:
            break
    extra = f"document.getElementById({row!r}).querySelectorAll('.extra').length"
    for key, opened in (("", 0), ("Enter", 1), (" ", 0)):
        if key:
            browser.press(key)
        assert browser.evaluate(extra) == opened
    return reached


def printed(browser: Browser, page: Path, folder: Path) -> str:
    """The words of a page on A4 paper, landscape, without blanks.

    Skips the test where there is no pdftotext.
    """
    browser.show(1280, 800, scheme="dark")
    browser.open(page)
    path = folder / "page.pdf"
    path.write_bytes(browser.pdf())
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", path.read_bytes())
    assert box
    assert [round(float(n)) for n in box.groups()] == [842, 595], "A4, landscape"
    try:
        text = subprocess.run(
            ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("no pdftotext here")
    return "".join(text.split())
