"""Which of a table's columns is which of ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sparseplan.common.units import parse_positive, parse_sparsity
from sparseplan.errors import PatternError, QuantityError, RunsError, nearest
from sparseplan.runs.column_advice import advice
from sparseplan.runs.presets import Preset, preset
from sparseplan.runs.reader import Table
from sparseplan.runs.reading import Reading
from sparseplan.sparsity.pattern import parse_pattern

NEEDED = ("sparsity", "nonzero_params", "data_seen", "loss")
GROUP, TRUNK, SEED = "group", "trunk", "seed"
NO_GROUPS = "none"
KNOWN = (
    *NEEDED,
    "pattern",
    "strategy",
    "dense_params",
    "data_unit",
    "unique_data",
    "train_flops",
    "seed",
    "run_id",
    "diverged",
    GROUP,
    TRUNK,
)
_FOLLOWS = {"nonzero_params": "dense_params", "sparsity": "pattern", "data_seen": "train_flops"}
"""What a column that is missing follows from."""
_NO_CONSTANT = ("loss", "run_id", GROUP)
_READ: dict[str, Callable[[str], Any]] = {
    "sparsity": parse_sparsity,
    "pattern": parse_pattern,
    **dict.fromkeys(("nonzero_params", "dense_params", "data_seen", "unique_data", "train_flops"), parse_positive),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnNames:
    """How a table's cells are found.

    Attributes:
        names: our names to the table's, for every column that is there.
        constants: our columns that all runs have one value of.
        preset: the exporter's names, where they are asked for.
        independent: whether no runs share anything, as the user says.
        last_per: the column of whose values the last row each is taken.
    """

    names: Mapping[str, str]
    constants: Mapping[str, str]
    preset: Preset | None
    independent: bool
    last_per: str | None

    def called(self, ours: str) -> str:
        """A column of ours in messages, with the table's name where that is another."""
        theirs = self.names.get(ours, ours)
        return ours if theirs == ours else f"{ours} ({theirs})"

    def scale(self, ours: str) -> float:
        """What a column's numbers are multiplied by."""
        return 1.0 if self.preset is None else self.preset.scale.get(self.names.get(ours, ""), 1.0)


def column_names(table: Table, reading: Reading) -> ColumnNames:
    """Find every column of ours in a table: as the user maps it, as the preset knows it, or under our own name.

    Raises:
        RunsError: for a column that is missing, twice, or unknown to us or to the table.
    """
    for ours, theirs in reading.columns.items():
        if ours not in KNOWN:
            raise RunsError(f"`columns` {ours}={theirs}: expected one of {', '.join(KNOWN)}{nearest(ours, KNOWN)}.")
        if theirs not in table.columns:
            raise RunsError(
                f"{table.source}: `columns` {ours}={theirs}: there is no column {theirs!r}"
                f"{nearest(theirs, table.columns)}; the table has {', '.join(table.columns)}."
            )
    chosen = None if reading.preset is None else preset(reading.preset)
    independent = reading.group == NO_GROUPS and NO_GROUPS not in table.columns
    mapped = dict(reading.columns)
    if reading.group is not None and not independent:
        if reading.group not in table.columns:
            known = ", ".join(table.columns)
            raise RunsError(f"{table.source}: `group` {reading.group}: there is no such column; the table has {known}.")
        mapped[GROUP] = reading.group
    names = {name: name for name in KNOWN if name in table.columns and name != GROUP}
    if chosen is not None:
        found = {name: chosen.find(name, table.columns) for name in KNOWN if name != GROUP}
        names = {ours: theirs for ours, theirs in found.items() if theirs is not None}
    names |= mapped
    constants = _constants(table, reading, chosen, names)
    names = {ours: theirs for ours, theirs in names.items() if ours not in constants}
    _require(table, reading, names, constants)
    return ColumnNames(
        names=names,
        constants=constants,
        preset=chosen,
        independent=independent,
        last_per=_last_per(table, reading, chosen, names),
    )


def _constants(table: Table, reading: Reading, chosen: Preset | None, names: dict[str, str]) -> dict[str, str]:
    """What all runs have, as the user says; where the table doesn't, as the preset or the form to fit implies."""
    for ours, value in reading.constants.items():
        written = f"`constants` {ours}={value}"
        settable = [name for name in KNOWN if name not in _NO_CONSTANT]
        if ours not in settable:
            raise RunsError(f"{written}: expected one of {', '.join(settable)}{nearest(ours, settable)}.")
        if ours in table.columns or ours in reading.columns:
            raise RunsError(
                f"{table.source}: {written}: the table has a column {names.get(ours, ours)!r} that says so for each "
                "run; leave one of them out."
            )
        try:
            _READ.get(ours, str)(value)
        except (QuantityError, PatternError) as problem:
            raise RunsError(f"{written}: {problem}") from None
    implied = {} if chosen is None else dict(chosen.constants)
    if reading.dense and "pattern" not in names:
        implied["sparsity"] = "0"
    return {ours: value for ours, value in implied.items() if ours not in names} | dict(reading.constants)


def _require(table: Table, reading: Reading, names: dict[str, str], constants: dict[str, str]) -> None:
    known = {*names, *constants}
    missing = [name for name in NEEDED if name not in known and _FOLLOWS.get(name) not in known]
    if not missing:
        return
    columns_are = f"column {missing[0]} is" if len(missing) == 1 else f"columns {', '.join(missing)} are"
    unread = [name for name in table.columns if name not in names.values()]
    advised = advice(missing, unread)
    dense = f"If every run is dense: {reading.if_dense}." if "sparsity" in missing else ""
    if not advised and missing != ["sparsity"]:
        advised = "Say which column is which with `columns`, as in nonzero_params=N."
    hint = " ".join(one for one in (advised, dense) if one)
    raise RunsError(f"{table.source}: the {columns_are} missing; the table has {', '.join(table.columns)}. {hint}")


def _last_per(table: Table, reading: Reading, chosen: Preset | None, names: dict[str, str]) -> str | None:
    asked = reading.last_per
    if asked is None and chosen is not None and chosen.histories:
        if "run_id" not in names:
            raise RunsError(
                f"{table.source}: `preset` {reading.preset}: expected a column that names the run of each row, as "
                f"{chosen.columns['run_id'][0]}, since one file of it has the history of one run: join the files with "
                f"such a column. The table has {', '.join(table.columns)}."
            )
        asked = "run_id"
    if asked is None:
        return None
    if asked in table.columns:
        return asked
    if asked in names:
        return names[asked]
    raise RunsError(
        f"{table.source}: `last_per` {asked}: there is no such column{nearest(asked, table.columns)}; "
        f"the table has {', '.join(table.columns)}."
    )
