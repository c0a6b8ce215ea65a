"""What a law file says, whatever its layout: as plain data, and as a short hash that names it beside its name."""

import hashlib
import json
from typing import Any

import msgspec
import numpy as np

from sparseplan.laws.law import Law, form_of

KEYS = (
    *("format", "name", "description", "form", "loss", "data_unit", "tokens_per_unit", "counts_embeddings"),
    *("coefficients", "sparsity", "forms", "schedule", "start", "repetition", "range", "levels", "held_out"),
    *("prediction", "fit", "draws", "provenance"),
)
"""The keys of a law file, in the order of the format's description."""
HASH_DIGITS = 8


def law_data(law: Law) -> dict[str, Any]:
    """The law as plain data, with the keys that files of its form have."""
    data: dict[str, Any] = msgspec.to_builtins(law)
    if law.forms:
        blocks = [{key: value for key, value in block.items() if value not in (None, {})} for block in data["forms"]]
        return {k: v for k, v in data.items() if k not in {"coefficients", "sparsity", "draws"}} | {"forms": blocks}
    del data["forms"]
    return data if form_of(law).knows_sparsity else {k: v for k, v in data.items() if k not in {"sparsity", "schedule"}}


def written(law: Law) -> dict[str, Any]:
    """What a file of the law says: `law_data` without what is empty, in the order of `KEYS`."""
    data = law_data(law)
    return {key: _pruned(data[key]) for key in KEYS if data.get(key) not in (None, False, {}, "")}


def _pruned(value: Any) -> Any:
    return {key: entry for key, entry in value.items() if entry is not None} if isinstance(value, dict) else value


def law_hash(law: Law) -> str:
    """The first eight hexadecimal digits of a SHA-256 of everything the law's file says, draws included.

    Layout, comments, the order of keys and how a number is written (1, 1.0, 1e0) don't matter; every value does, the
    description and the provenance too.
    """
    text = json.dumps(_plain(written(law)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def same_runs(one: Law, other: Law) -> bool:
    """Whether two laws were fitted to the same runs: by hash of the table, else by what the runs covered."""
    hashes = [law.provenance.get("runs_sha256") for law in (one, other)]
    if all(hashes):
        return hashes[0] == hashes[1]
    if one.loss != other.loss:
        return False
    for axis in ("sparsity", "nonzero_params", "data_seen"):
        here, there = getattr(one.range, axis), getattr(other.range, axis)
        if here is None or there is None or not np.allclose(here, there, rtol=1e-3, atol=0.0):
            return False
    return True


def law_date(law: Law) -> str | None:
    """When the law was made, as its provenance says."""
    date = law.provenance.get("date")
    return None if date is None else str(date)


def _plain(value: Any) -> Any:
    """Numbers as floats and keys as text, so that equal content has one spelling."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**53 else str(value)
    return value if isinstance(value, str | float | bool | None) else str(value)
