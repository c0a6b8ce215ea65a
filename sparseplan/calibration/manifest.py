"""The manifest: what a folder is a sweep of. A folder with another recipe, data or training code is refused.

A sweep may grow by single runs, a recipe's `also`, and by `strategies`: runs that were there keep their records.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from sparseplan.calibration.defaults import with_strategy
from sparseplan.calibration.recipe import LoadedRecipe, Recipe
from sparseplan.common.files import read_regular, write_text
from sparseplan.common.json_struct import decode
from sparseplan.errors import SweepError
from sparseplan.runs.spec import TRAINING_VERSION, DataSpec
from sparseplan.sweep.folder import Folder
from sparseplan.version import __version__

_FREE = ("description", "executor", "fit", "keep_dense_weights", "retry_diverged", "also", "strategies", "verify")
"""Parts of a recipe that may change between two starts: no run's identity depends on them."""
_MAX_SHOWN = 12


class DataFacts(Struct, frozen=True, kw_only=True):
    """The data that the runs saw, without paths."""

    description: str
    train_sha256: str
    train_tokens: int
    valid_sha256: str
    valid_tokens: int
    unit: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What the folder is a sweep of.

    Attributes:
        recipe: The parts of the recipe that name runs, as plain data; `recipe.yaml` has all of it.
        data: Its data, hashed.
        run_ids: Every run of the grid.
        training_version: Of the training code, see `runs.spec.TRAINING_VERSION`.
        sparseplan: Version that started the sweep.
    """

    recipe: dict[str, Any]
    data: DataFacts
    run_ids: tuple[str, ...]
    training_version: int = TRAINING_VERSION
    sparseplan: str = __version__
    format: Literal["sparseplan-sweep/1"] = "sparseplan-sweep/1"


def data_facts(data: DataSpec, description: str) -> DataFacts:
    """The facts about some data that a manifest keeps."""
    return DataFacts(
        description=description,
        train_sha256=data.train.sha256,
        train_tokens=data.train.tokens,
        valid_sha256=data.valid.sha256,
        valid_tokens=data.valid.tokens,
        unit=data.unit,
    )


def read_manifest(folder: Folder) -> Manifest | None:
    """The manifest of a folder; None where there is none.

    Raises:
        SweepError: if it isn't one.
    """
    try:
        facts = decode(read_regular(folder.manifest), dict[str, Any])
        manifest = msgspec.convert(facts | {"recipe": with_strategy(facts.get("recipe"))}, Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as problem:
        raise SweepError(f"{folder.manifest}: expected the manifest of a sweep, found: {problem}.") from None
    return manifest


def what_names_runs(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data, without the parts that no run's identity depends on."""
    return {key: value for key, value in msgspec.to_builtins(recipe).items() if key not in _FREE}


def refuse_strangers(folder: Folder) -> None:
    """Refuse a folder that no calibration made and that holds files which one would write.

    Raises:
        SweepError: naming the files.
    """
    if folder.manifest.exists():
        return
    ours = (folder.recipe, folder.runs_table, folder.law, folder.readme, folder.figure)
    found = [path.name for path in ours if path.exists() or path.is_symlink()]
    found += ["runs/*.json"] if any(folder.records.glob("[!.]*.json")) else []
    if found:
        raise SweepError(
            f"{folder.root}: expected an empty folder or one that a calibration made, found {', '.join(found)} without "
            "a manifest.json; choose another `out`."
        )


def claim(folder: Folder, loaded: LoadedRecipe, facts: DataFacts, run_ids: tuple[str, ...]) -> None:
    """Make a folder the folder of this sweep, or check that it is.

    Raises:
        SweepError: if it belongs to another sweep, with the difference.
    """
    found = read_manifest(folder)
    if found is None:
        manifest = Manifest(recipe=what_names_runs(loaded.recipe), data=facts, run_ids=run_ids)
        refuse_strangers(folder)
        _write(folder, manifest)
        write_text(folder.recipe, loaded.text)
        return
    changes = differences(found, loaded.recipe, facts)
    gone = set(found.run_ids) - set(run_ids)
    if not changes and gone:
        changes = _why_gone(found, len(gone))
    if changes:
        more = f"\n  ... and {len(changes) - _MAX_SHOWN} more" if len(changes) > _MAX_SHOWN else ""
        raise SweepError(
            f"{folder.root}: expected the sweep that this folder was made for, found what would change its runs:\n"
            + "\n".join(f"  {change}" for change in changes[:_MAX_SHOWN])
            + more
            + "\nChoose another `out` for the new sweep, or go back to the old recipe and data."
        )
    if len(run_ids) > len(found.run_ids):
        _write(folder, msgspec.structs.replace(found, run_ids=run_ids))
    if not folder.recipe.exists() or read_regular(folder.recipe) != loaded.text.encode():
        write_text(folder.recipe, loaded.text)


def _write(folder: Folder, manifest: Manifest) -> None:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode() + "\n"
    write_text(folder.manifest, text, durable=True)


def _why_gone(manifest: Manifest, gone: int) -> list[str]:
    """Why runs of a manifest are no longer a recipe's, though its grid is the same."""
    if manifest.training_version != TRAINING_VERSION:
        return [f"the training code: version {manifest.training_version} -> {TRAINING_VERSION}"]
    return [
        f"strategies or also: {gone} of the folder's runs {'is' if gone == 1 else 'are'} no longer asked for; "
        "put them back"
    ]


def differences(manifest: Manifest, recipe: Recipe, facts: DataFacts) -> list[str]:
    """What would make runs differ, one line a key: old -> new."""
    old, new = _flat(_as_written_now(manifest.recipe, recipe)), _flat(what_names_runs(recipe))
    keys = dict.fromkeys([*old, *new])
    changes = [f"{key}: {_shown(old, key)} -> {_shown(new, key)}" for key in keys if old.get(key) != new.get(key)]
    for name in ("train_sha256", "valid_sha256"):
        before, after = getattr(manifest.data, name), getattr(facts, name)
        if before != after:
            part = "training" if name.startswith("train") else "validation"
            tokens = [getattr(each, name.replace("sha256", "tokens")) for each in (manifest.data, facts)]
            changes.append(
                f"{part} data: {tokens[0]} {manifest.data.unit}s, sha256 {before[:12]}... "
                f"-> {tokens[1]} {facts.unit}s, sha256 {after[:12]}..."
            )
    return changes


def _as_written_now(kept: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """A manifest's recipe, with the defaults of keys that this version knows and the one that wrote it didn't."""
    named = {key: value for key, value in kept.items() if key not in _FREE}  # older manifests have those as well
    free = {key: value for key, value in msgspec.to_builtins(recipe).items() if key in _FREE}
    try:
        return what_names_runs(msgspec.convert(named | free, type(recipe)))
    except msgspec.ValidationError:  # a key that this version no longer knows: shown as it is
        return named


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {k: v for name, each in value.items() for k, v in _flat(each, f"{key}.{name}" if key else name).items()}
    if isinstance(value, list | tuple) and value:
        return {k: v for index, each in enumerate(value) for k, v in _flat(each, f"{key}[{index}]").items()}
    return {key: value}


def _shown(flat: dict[str, Any], key: str) -> str:
    return repr(flat[key]) if key in flat else "(absent)"
