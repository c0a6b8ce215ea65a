"""Real models on disk: built-in ones by name, and any Hugging Face config by its path."""

import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from sparseplan.common import lookup, yaml_struct
from sparseplan.errors import ModelError, nearest
from sparseplan.shapes.real.architecture import Architecture
from sparseplan.shapes.real.registry import read_config

CONFIG = "config.json"
MOST_CONTEXT = 2**24
"""Tokens of a sequence: longer ones are a slip."""
_KIND = "model config"


class ModelFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A built-in model.

    Attributes:
        hub: Where its config lies on the Hugging Face hub, where it has one place; it is found by this name too.
        context: Tokens of a sequence of its pretraining; None where its config's longest is that.
        parameters: Its published number of parameters.
        source: Where the shape, the number and the context come from.
        date: When the model came out.
        config: Fields of its config, as `config.json` has them; what is not there is as in transformers.
    """

    name: str
    hub: str | None = None
    context: Annotated[int, Meta(ge=1)] | None = None
    parameters: Annotated[int, Meta(ge=1)]
    source: str
    date: str
    config: dict[str, Any]


class RealModel(Struct, frozen=True, kw_only=True):
    """A model that a plan may be about.

    Attributes:
        name: Its built-in name, or the path of its config.
        architecture: What it is made of.
        context: Tokens of a sequence where nobody says otherwise: of its pretraining, else the longest of its config.
        published_params: Its published number of parameters; None for a config of the user's.
        source: Where that comes from.
    """

    name: str
    architecture: Architecture
    context: int | None
    published_params: int | None = None
    source: str | None = None


def load_model(model: str | Path) -> RealModel:
    """Find a model: a built-in one by its name or its place on the hub, or a config by its path or folder.

    Raises:
        ModelError: if there is no such model, or its config is broken.

    >>> load_model("llama-3-8b").architecture.total_params
    8030261248
    """
    if isinstance(model, Path) or _is_path(model):
        return _from_config(Path(model))
    files = {path.stem: path for path in builtin_models()}
    path = files.get(model.casefold()) or _on_the_hub(model)
    if path is None:
        raise ModelError(
            f"no model is called {model!r}{nearest(model.casefold(), list(files))}; `models.list` shows the names. Any "
            "other is given by the path of its Hugging Face config, ending in .json."
        )
    return _built_in(path)


@cache
def builtin_models() -> tuple[Path, ...]:
    """The files of the built-in models."""
    return tuple(sorted((lookup.BUILTIN / "models").glob("*.yaml"), key=lambda path: _in_order(path.stem)))


def read_model_file(path: Path) -> ModelFile:
    """A built-in model as its file says it."""
    found: ModelFile = yaml_struct.convert(_document(path), ModelFile, error=ModelError)
    return found


def _in_order(name: str) -> list[tuple[float, str]]:
    """Families in alphabetical order, their sizes in order of size."""
    factors = {"m": 1e-3, "b": 1.0}
    words = []
    for word in name.split("-"):
        number, factor = word[:-1], factors.get(word[-1:], 0.0)
        is_size = factor > 0 and number.replace(".", "", 1).isdigit()
        words.append((float(number) * factor, "") if is_size else (0.0, word))
    return words


def _is_path(word: str) -> bool:
    in_folder = (Path(word) / CONFIG).is_file()
    return word.endswith(".json") or in_folder or (os.sep in word and _on_the_hub(word) is None)


def _on_the_hub(place: str) -> Path | None:
    """The built-in model that lies at a place on the hub; the names of both are alike but for the owner's."""
    if os.sep not in place or Path(place).exists():
        return None
    return next(
        (path for path in builtin_models() if (read_model_file(path).hub or "").casefold() == place.casefold()), None
    )


def _built_in(path: Path) -> RealModel:
    document = _document(path)
    file: ModelFile = yaml_struct.convert(document, ModelFile, error=ModelError)
    architecture = read_config(document, at=("config",))
    return RealModel(
        name=file.name,
        architecture=architecture,
        context=file.context or architecture.longest,
        published_params=file.parameters,
        source=file.source,
    )


def _from_config(path: Path) -> RealModel:
    if not path.exists():
        raise ModelError(
            f"{path}: there is no such file or folder. Of a model on the Hugging Face hub that `models.list` does not "
            f"show, download its {CONFIG} and give the path."
        )
    file = path / CONFIG if path.is_dir() else path
    architecture = read_config(_document(file))
    return RealModel(name=str(path), architecture=architecture, context=architecture.longest)


def _document(path: Path) -> yaml_struct.Document:
    """A file of JSON or YAML, with the line of every key: all JSON that configs hold is YAML too."""
    return yaml_struct.read_document(path, kind=_KIND, error=ModelError)
