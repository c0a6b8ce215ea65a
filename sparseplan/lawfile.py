"""Law files: coefficient YAML to a typed law and back, with its checks, and lookup by name."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import yaml

from sparseplan import lookup, yamlfile
from sparseplan.errors import LawError, nearest
from sparseplan.files import write_text
from sparseplan.jsonschema import json_schema
from sparseplan.law import Law, SparseLaw, coefficient_draws, draw_columns

_WORSE_SIZE = "A negative exponent would predict that larger models are worse."
_WORSE_DATA = "A negative exponent would predict that more data is worse."
_REASONS = {
    "b_N": _WORSE_SIZE,
    "alpha": _WORSE_SIZE,
    "b_D": _WORSE_DATA,
    "beta": _WORSE_DATA,
    "c": "The irreducible loss can't be negative.",
    "E": "The irreducible loss can't be negative.",
    "a_S": "A negative one would predict that sparser models of equal non-zero size are worse.",
    "tokens_per_unit": "It is what one unit of data costs: 1 for tokens, 196 for ViT/16 images at 224 px.",
}
_KEY_ORDER = (
    *("format", "name", "description", "form", "data_unit", "tokens_per_unit", "coefficients", "sparsity", "schedule"),
    *("range", "fit", "draws", "provenance"),
)


def read_law(path: Path) -> Law:
    """Read and check one law file.

    Raises:
        LawError: with file, line and key, if it isn't a valid law.
    """
    document = yamlfile.read_document(path, kind="law file", error=LawError)
    return _checked(document)


def parse_law(text: str, *, source: str) -> Law:
    """Read and check a law from YAML text, as `read_law` does."""
    return _checked(yamlfile.parse_document(text, source=source, kind="law file", error=LawError))


def _checked(document: yamlfile.Document) -> Law:
    law = cast(Law, yamlfile.convert(document, Law, error=LawError, reasons=_REASONS))
    if law.draws is not None:
        allowed = draw_columns(law)
        for index, column in enumerate(law.draws.columns):
            if column not in allowed or column in law.draws.columns[:index]:
                where = document.where(("draws", "columns", index))
                raise LawError(
                    f"{where}expected a coefficient of this law, each once, found {column!r}{nearest(column, allowed)}."
                )
        table = dict(zip(law.draws.columns, law.draws.table().T, strict=True))
        for column, values in table.items():
            nonnegative = column in {"c", "E"} or column.endswith((".a_S", ".c_S"))
            if np.any(values < 0) or (not nonnegative and np.any(values == 0)):
                raise LawError(
                    f"{document.where(('draws', 'data'))}expected draws of {column} above 0, found {values.min():g}."
                )
    if isinstance(law, SparseLaw):
        for family, chosen in law.sparsity.items():
            drawn = coefficient_draws(law, family)
            if drawn is not None and np.any(np.asarray(drawn.a_S) + drawn.c_S <= 0):
                raise LawError(f"{document.where(('draws', 'data'))}expected draws of {family}'s a_S + c_S above 0.")
            if chosen.a_S + chosen.c_S <= 0:
                raise LawError(f"{document.where(('sparsity', family))}expected a_S + c_S above 0, found both 0.")
    return law


def write_law(law: Law, path: Path) -> None:
    """Write a law file, whole or not at all, and only if it can be read again.

    Raises:
        LawError: if the law would not be valid as a file, a name with spaces for one.
    """
    text = law_text(law)
    parse_law(text, source=str(path))
    write_text(path, text)


def law_text(law: Law) -> str:
    """The law as YAML, keys in the order of the format's description."""
    data = msgspec.to_builtins(law)
    plain = {key: _pruned(data[key]) for key in _KEY_ORDER if data.get(key) not in (None, {})}
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return text


def _pruned(value: Any) -> Any:
    return {key: entry for key, entry in value.items() if entry is not None} if isinstance(value, dict) else value


def law_schema() -> dict[str, Any]:
    """The JSON Schema of law files, for editors; shipped as builtin/schemas/law.schema.json."""
    return json_schema(Law, title="sparseplan law file")


def load_law(name: str) -> Law:
    """Find a law by path or by name: ./calibration/*/law.yaml, then $SPARSEPLAN_LAWS, then the built-ins.

    Raises:
        LawError: if there is no such law, or its file is broken.
    """
    path = Path(name) if lookup.is_path(name) else lookup.find(name, list(law_files()), kind="law", error=LawError)
    return read_law(path)


def law_files() -> Iterator[tuple[str, Path]]:
    """Name and file of every law that `--law NAME` finds, in lookup order; a name's first file is the one meant."""
    return lookup.named_files(local="calibration/*/law.yaml", variable="SPARSEPLAN_LAWS", builtin="laws")


@cache
def builtin_laws() -> tuple[Path, ...]:
    """The law files that ship with the package."""
    return tuple(sorted((lookup.BUILTIN / "laws").glob("*.yaml")))
