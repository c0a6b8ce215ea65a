"""Pages of the site that are no files in docs/, as a hook of mkdocs: mkdocs.yml names it.

From the code: the commands (by typer), the names of `import sparseplan` (by mkdocstrings), and the keys of laws,
recipes and profiles (from the JSON Schemas). From the repository: every file that a page links to outside docs/, and
those that they link to in turn, under project/. On a code host the pages stay as they are; here their links are turned.
"""

import json
import posixpath
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import sparseplan

ROOT = Path(__file__).parents[1]
ELSEWHERE = "project"
SCHEMAS = {"law": "Laws", "recipe": "Recipes", "hardware": "Hardware profiles"}
_PLAIN = {
    "number": "number",
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "null": "nothing",
    "array": "list",
    "object": "mapping",
}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)#\s]+)(#[^)]*)?\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from the code, and what pages link to in the repository."""
    for place, make in (
        ("reference/commands.md", commands),
        ("reference/python.md", python_names),
        ("reference/files.md", keys),
    ):
        files.append(File.generated(config, place, content=make()))
    wanted = [f"docs/{page.src_uri}" for page in files.documentation_pages() if not page.generated_by]
    seen = set(wanted)
    while wanted:
        page = wanted.pop()
        for target in linked(page):
            if target in seen or target.startswith("docs/") or not (ROOT / target).is_file():
                continue
            seen.add(target)
            files.append(File.generated(config, placed(target), abs_src_path=str(ROOT / target)))
            if target.endswith(".md"):
                wanted.append(target)
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn a page's links into those of the site; to what the site has not, they become their words."""
    here = page.file.src_uri
    if here.startswith("reference/"):
        return markdown
    source = here.removeprefix(f"{ELSEWHERE}/") if here.startswith(f"{ELSEWHERE}/") else f"docs/{here}"

    def turned(link: re.Match[str]) -> str:
        image, words, target, anchor = link[1], link[2], link[3], link[4] or ""
        if "://" in target:
            return link[0]
        place = placed(joined(source, target))
        if files.get_file_from_path(place) is None:
            return words
        words = _LINK.sub(turned, words)
        return f"{image}[{words}]({posixpath.relpath(place, posixpath.dirname(here) or '.')}{anchor})"

    return outside_code(markdown, lambda text: _LINK.sub(turned, text))


def placed(path: str) -> str:
    """Where a file of the repository is on the site."""
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{ELSEWHERE}/{path}"


def linked(page: str) -> list[str]:
    """The files of the repository that a page links to, as paths from its root."""
    found: list[str] = []

    def noted(text: str) -> str:
        found.extend(joined(page, link[3]) for link in _LINK.finditer(text) if "://" not in link[3])
        return text

    outside_code((ROOT / page).read_text(encoding="utf-8"), noted)
    return found


def joined(page: str, target: str) -> str:
    """A link's target as a path from the root of the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Change what stands outside fenced blocks."""
    parts = _FENCED.split(markdown)
    return "".join(part if part.startswith("```") else change(part) for part in parts)


def commands() -> str:
    """Every command with its options, as `--help` has them."""
    call = [sys.executable, "-m", "typer", "sparseplan.cli", "utils", "docs", "--name", "sparseplan"]
    text = subprocess.run(call, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return text.replace("# `sparseplan`", "# Commands", 1)


def python_names() -> str:
    """What `import sparseplan` has, from the docstrings."""
    names = [name for name in sparseplan.__all__ if not name.startswith("__")]
    functions = [name for name in names if name.islower()]
    blocks = [
        f"::: {getattr(sparseplan, name).__module__}.{name}"
        for name in (*functions, *sorted(set(names) - set(functions)))
    ]
    top = "# `import sparseplan`\n\nEvery name of the package. [From Python](../python.md) says how they go together."
    return "\n\n".join([top, *blocks])


def keys() -> str:
    """The keys of the files that people write, from the JSON Schemas that check them."""
    parts = ["# Files, key by key\n\nWhat editors check, and every reader refuses: unknown keys are errors."]
    for name, title in SCHEMAS.items():
        schema = json.loads((ROOT / f"sparseplan/builtin/schemas/{name}.schema.json").read_text(encoding="utf-8"))
        parts.append(f"## {title}\n\n`sparseplan/builtin/schemas/{name}.schema.json`")
        parts += [
            _table(kind, schema["$defs"][kind]) for kind in schema["$defs"] if "properties" in schema["$defs"][kind]
        ]
    return "\n\n".join(parts)


def _table(name: str, struct: dict[str, Any]) -> str:
    needed = struct.get("required", [])
    rows = [
        f"| `{key}` | {_type(value)} | {'yes' if key in needed else ''} | {_cell(value.get('description', ''))} |"
        for key, value in struct["properties"].items()
    ]
    about = struct.get("description", "").partition("\n\n")[0].replace("\n", " ")
    return "\n".join(
        [f"### {name}", "", about, "", "| key | value | needed | meaning |", "| --- | --- | --- | --- |", *rows]
    )


def _type(value: dict[str, Any]) -> str:
    """A schema's type in words."""
    match value:
        case {"$ref": str(place)}:
            word = place.rpartition("/")[2]
        case {"anyOf": list(kinds)}:
            word = " or ".join(dict.fromkeys(_type(one) for one in kinds))
        case {"enum": list(words)}:
            word = ", ".join(f"`{one}`" for one in words)
        case {"prefixItems": list(kinds)}:
            word = f"[{', '.join(_type(one) for one in kinds)}]"
        case {"type": "array", "items": dict(kind)}:
            word = f"list of {_type(kind)}"
        case {"type": "object", "additionalProperties": dict(kind)}:
            word = f"mapping to {_type(kind)}"
        case {"type": str(kind)}:
            word = _PLAIN.get(kind, kind)
        case _:
            word = "any"
    return word


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
