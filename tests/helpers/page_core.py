"""The code of the `explore` page in node, and a browser for the page itself; tests skip where there is none."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sparseplan.explore.data import PageData

ROOT = Path(__file__).parents[2]
_SCRIPT = ROOT / "tests" / "explore" / "page_core.mjs"


def in_node(data: PageData, **asked: Any) -> dict[str, Any]:
    """What the page's code makes of questions, curves, maps, fragments or numbers."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node to run the page's code in")
    payload = msgspec.json.encode({"data": data, **asked})
    done = subprocess.run([node, str(_SCRIPT)], input=payload, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def in_browser(url: str, folder: Path) -> str:
    """The document of a page once its scripts have come to rest, as a headless browser has it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("there is no chromium to open the page in")
    flags = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={folder}", "--virtual-time-budget=60000", "--window-size=1280,900", "--dump-dom"),
    )
    done = subprocess.run([browser, *flags, url], capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()
