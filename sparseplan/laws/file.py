"""Law files: coefficient YAML to a typed law and back, with its checks, and lookup by name."""

from collections.abc import Iterator
from functools import cache, reduce
from operator import or_
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, cast

import msgspec
import numpy as np
import yaml
from msgspec import Meta

from sparseplan.common import lookup, yaml_struct
from sparseplan.common.files import write_text
from sparseplan.common.json_schema import json_schema
from sparseplan.common.yaml_document import Key
from sparseplan.errors import LawError, nearest
from sparseplan.laws.draws import Draws
from sparseplan.laws.forms import FORMS
from sparseplan.laws.forms.base import Coefficient, Form, dense_numerator
from sparseplan.laws.identity import written
from sparseplan.laws.law import (
    AVERAGE,
    Family,
    FormBlock,
    Head,
    Law,
    coefficient_draws,
    coefficients,
    draw_columns,
    form_of,
    is_transferred,
    members,
    repetition_columns,
)
from sparseplan.sparsity.schedule import Schedule

_TOKENS_PER_UNIT = "It is what one unit of data costs: 1 for tokens, 196 for ViT/16 images at 224 px."


_STRICT: Any = {"frozen": True, "kw_only": True, "forbid_unknown_fields": True}
_WEIGHTS_ADD_UP = 1e-3


def read_law(path: Path) -> Law:
    """Read and check one law file.

    Raises:
        LawError: with file, line and key, if it is not a valid law.
    """
    document = yaml_struct.read_document(path, kind="law file", error=LawError)
    return _checked(document)


@cache
def builtin_law(name: str) -> Law:
    """A law that ships with the package, whatever else bears its name; it is read once, since its file stays."""
    return read_law(lookup.BUILTIN / "laws" / f"{name}.yaml")


def parse_law(text: str, *, source: str) -> Law:
    """Read and check a law from YAML text, as `read_law` does."""
    return _checked(yaml_struct.parse_document(text, source=source, kind="law file", error=LawError))


@cache
def _file_type() -> Any:
    """The msgspec type of law files: of each form a struct with exactly its coefficients, distinguished by `form`."""
    return reduce(or_, (_form_type(form) for form in FORMS.values()), _average_type())


def _average_type() -> Any:
    """A law averaged over forms: a block for each of them."""
    blocks = reduce(or_, (_block_type(form) for form in FORMS.values()))
    fields: list[Any] = [
        ("forms", Annotated[GenericAlias(list, (blocks,)), Meta(min_length=2, description="A block for each form.")]),
        ("schedule", Schedule, msgspec.field(default_factory=Schedule)),
    ]
    return msgspec.defstruct(
        "AverageLaw",
        fields,
        bases=(Head,),
        tag_field="form",
        tag=AVERAGE,
        namespace={"__doc__": "The mean of laws of several forms."},
        **_STRICT,
    )


def _block_type(form: Form) -> Any:
    word = form.name.title().replace("-", "")
    fields: list[Any] = [
        ("weight", Annotated[float, Meta(gt=0, le=1, description="How much this form's losses count.")]),
        ("coefficients", _coefficients_type(f"{word}BlockBase", form.base)),
    ]
    if form.knows_sparsity:
        own = _coefficients_type(f"{word}BlockSparsity", form.per_family)
        fields += [("sparsity", Annotated[GenericAlias(dict, (Family, own)), Meta(min_length=1)])]
    fields += [("draws", Draws | None, None)]
    return msgspec.defstruct(f"{word}Block", fields, tag_field="form", tag=form.name, **_STRICT)


def _form_type(form: Form) -> type[Head]:
    word = form.name.title().replace("-", "")
    fields: list[Any] = [("coefficients", _coefficients_type(f"{word}Base", form.base))]
    if form.knows_sparsity:
        own = _coefficients_type(f"{word}Sparsity", form.per_family)
        fields += [("sparsity", Annotated[GenericAlias(dict, (Family, own)), Meta(min_length=1)])]
        fields += [("schedule", Schedule, msgspec.field(default_factory=Schedule))]
    found = msgspec.defstruct(
        f"{word}Law",
        fields,
        bases=(Head,),
        tag_field="form",
        tag=form.name,
        namespace={"__doc__": form.formula},
        **_STRICT,
    )
    return cast(type[Head], found)


def _coefficients_type(name: str, described: tuple[Coefficient, ...]) -> Any:
    fields = [(one.name, Annotated[float, _limits(one)]) for one in described]
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, forbid_unknown_fields=True)


def _limits(one: Coefficient) -> Meta:
    if one.low is None:
        return Meta(description=one.description)
    if one.zero_allowed:
        return Meta(ge=one.low, description=one.description)
    return Meta(gt=one.low, description=one.description)


def _checked(document: yaml_struct.Document) -> Law:
    reasons = {one.name: one.why for form in FORMS.values() for one in form.coefficients if one.why}
    found = yaml_struct.convert(
        document, _file_type(), error=LawError, reasons=reasons | {"tokens_per_unit": _TOKENS_PER_UNIT}
    )
    facts = {name: getattr(found, name) for name in found.__struct_fields__}
    if found.__struct_config__.tag == AVERAGE:
        return _checked_average(facts, document)
    facts["coefficients"] = msgspec.to_builtins(facts["coefficients"])
    if "sparsity" in facts:
        facts["sparsity"] = msgspec.to_builtins(facts["sparsity"])
    law = Law(form=found.__struct_config__.tag, **facts)
    _check_draws(law, document)
    _check_numerators(law, document)
    return law


def _checked_average(facts: dict[str, Any], document: yaml_struct.Document) -> Law:
    blocks = tuple(
        FormBlock(
            form=one.__struct_config__.tag,
            weight=one.weight,
            coefficients=msgspec.to_builtins(one.coefficients),
            sparsity=msgspec.to_builtins(getattr(one, "sparsity", {})),
            draws=one.draws,
        )
        for one in facts["forms"]
    )
    total, families = sum(one.weight for one in blocks), list(blocks[0].sparsity)
    if abs(total - 1.0) > _WEIGHTS_ADD_UP:
        raise LawError(f"{document.where(('forms',))}expected weights that add up to 1, found {total:.4g} in all.")
    if facts["draws"] is not None:
        raise LawError(f"{document.where(('draws',))}expected draws in the blocks of `forms` alone, found some here.")
    for index, one in enumerate(blocks):
        if set(one.sparsity) != set(families):
            raise LawError(
                f"{document.where(('forms', index))}expected the pattern families of the first form "
                f"({', '.join(families) or 'none'}), found {', '.join(one.sparsity) or 'none'}."
            )
        if (one.draws is None) != (blocks[0].draws is None):
            raise LawError(f"{document.where(('forms', index))}expected draws of every form or of none.")
    law = Law(**facts | {"form": AVERAGE, "forms": blocks, "sparsity": {family: {} for family in families}})
    for index, member in enumerate(members(law)):
        _check_draws(member, document, ("forms", index))
        _check_numerators(member, document, ("forms", index))
    return law


def _check_draws(law: Law, document: yaml_struct.Document, at: Key = ()) -> None:
    if law.draws is None:
        return
    allowed = draw_columns(law) | repetition_columns(law)
    for index, column in enumerate(law.draws.columns):
        if column not in allowed or column in law.draws.columns[:index]:
            where = document.where((*at, "draws", "columns", index))
            close = nearest(column, list(allowed))
            raise LawError(f"{where}expected a coefficient of this law, each once, found {column!r}{close}.")
    for column, values in zip(law.draws.columns, law.draws.table().T, strict=True):
        if not allowed[column].allows(values):
            raise LawError(
                f"{document.where((*at, 'draws', 'data'))}expected draws of {column} above 0, found {values.min():g}."
            )


@np.errstate(all="ignore")  # what overflows is no number above 0, or is refused by the answer
def _check_numerators(law: Law, document: yaml_struct.Document, at: Key = ()) -> None:
    """A dense model of one parameter needs a size term: coefficients that are 0 each on their own may not be 0 all."""
    words = form_of(law).numerator_words
    for family in law.sparsity or (None,):
        drawn = coefficient_draws(law, family)
        if drawn is not None and np.any(dense_numerator(drawn) <= 0):
            of = f"{family}'s " if family is not None else ""
            raise LawError(f"{document.where((*at, 'draws', 'data'))}expected draws of {of}{words} above 0.")
        if np.any(dense_numerator(coefficients(law, family)) <= 0):
            place = ("sparsity", family) if family is not None else ("coefficients",)
            raise LawError(f"{document.where((*at, *place))}expected {words} above 0, found both 0.")


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
    text: str = yaml.safe_dump(written(law), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return text


def law_schema() -> dict[str, Any]:
    """The JSON Schema of law files, for editors; shipped as builtin/schemas/law.schema.json."""
    return json_schema(_file_type(), title="sparseplan law file")


def load_law(name: str) -> Law:
    """Find a law by path or by name: ./calibration/*/law.yaml, $SPARSEPLAN_LAWS, the user's folder, the built-ins.

    Raises:
        LawError: if there is no such law, or its file is broken.
    """
    path = Path(name) if lookup.is_path(name) else lookup.find(name, list(law_files()), kind="law", error=LawError)
    return read_law(path)


def load_law_of(name: str, strategy: str) -> Law:
    """The law of a strategy from the calibration of another law, given by path or name.

    A calibration of several strategies keeps them in `laws` beside its law.yaml.

    Raises:
        LawError: if there is no such law or strategy, with those that there are.
    """
    path = Path(name) if lookup.is_path(name) else lookup.find(name, list(law_files()), kind="law", error=LawError)
    given = read_law(path)
    own = given.provenance.get("strategy")
    root = path.parent.parent if (path.parent.parent / "law.yaml").exists() else path.parent
    beside = {one.stem: one for one in sorted((root / "laws").glob("*.yaml"))}
    if strategy in beside:
        return read_law(beside[strategy])
    if strategy == own:
        return given
    known = list(beside) or ([str(own)] if own else [])
    if not known:
        raise LawError(f"`strategy` {strategy}: the law {given.name!r} does not say how its runs were pruned.")
    raise LawError(
        f"`strategy` {strategy}: the law {given.name!r} knows {', '.join(known)}, not {strategy!r}"
        f"{nearest(strategy, known)}."
    )


def law_files() -> Iterator[tuple[str, Path]]:
    """Name and file of every law that `--law NAME` finds, in lookup order; a name's first file is the one meant."""
    return lookup.named_files(local="calibration/*/law.yaml", variable="SPARSEPLAN_LAWS", builtin="laws")


def sparse_laws() -> list[Law]:
    """Every law that `--law NAME` finds and that measured an effect of sparsity itself, each name once.

    Raises:
        LawError: if one of the files is broken.
    """
    files: dict[str, Path] = {}
    for name, path in law_files():
        files.setdefault(name, path)
    laws = [read_law(path) for path in files.values()]
    return [law for law in laws if form_of(law).knows_sparsity and not is_transferred(law)]


def shadowing(name: str) -> Path | None:
    """The file that answers to a built-in law's name in its stead, which nothing would show; None where none does."""
    if lookup.is_path(name):
        return None
    path = lookup.find(name, list(law_files()), kind="law", error=LawError)
    hidden = {builtin.stem.casefold() for builtin in builtin_laws()}
    return path if name.casefold() in hidden and path.parent != lookup.BUILTIN / "laws" else None


@cache
def builtin_laws() -> tuple[Path, ...]:
    """The law files that ship with the package."""
    return tuple(sorted((lookup.BUILTIN / "laws").glob("*.yaml")))
