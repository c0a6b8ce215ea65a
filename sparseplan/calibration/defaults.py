"""Tags that a recipe may leave out: the kind of executor, the model's family, the strategy."""

from dataclasses import replace
from typing import Any

from sparseplan.common.yaml_document import Document
from sparseplan.runs.strategies import DEFAULT_STRATEGY, STRATEGIES
from sparseplan.shapes.families import DEFAULT_MODEL, tag_of
from sparseplan.sweep.executors import DEFAULT


def with_defaults(document: Document) -> Document:
    """The document with the tags of what it leaves untagged, as all recipes were before there was a choice."""
    document = _with_kind(_with_family(document))
    return replace(document, data=with_strategy(document.data))


def _with_kind(document: Document) -> Document:
    """The document with the default kind of executor where its `executor` names none."""
    given = document.data.get("executor") if isinstance(document.data, dict) else None
    if not isinstance(given, dict) or "kind" in given:
        return document
    return replace(document, data=document.data | {"executor": {"kind": DEFAULT, **given}})


def _with_family(document: Document) -> Document:
    """The document with the family that a model has where it names none."""
    data = document.data
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        return document
    return replace(document, data=data | {"model": {"family": tag_of(DEFAULT_MODEL), **data["model"]}})


def with_strategy(recipe: Any) -> Any:
    """A recipe's plain data with its strategies named, where it says how to prune without saying by which."""
    if not isinstance(recipe, dict):
        return recipe
    named = dict(recipe)
    if isinstance(recipe.get("pruning"), dict):
        named["pruning"] = {"strategy": DEFAULT_STRATEGY} | recipe["pruning"]
    if isinstance(recipe.get("strategies"), dict):
        named["strategies"] = {
            name: {"strategy": name if name in STRATEGIES else DEFAULT_STRATEGY} | one if isinstance(one, dict) else one
            for name, one in recipe["strategies"].items()
        }
    return named
