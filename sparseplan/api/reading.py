"""How a table of runs is to be read, from what users of Python and of the command line write."""

from collections.abc import Iterable, Mapping

from sparseplan.errors import RunsError
from sparseplan.laws.forms.fitting import DENSE
from sparseplan.runs.presets import preset as preset_by_name
from sparseplan.runs.reading import Reading
from sparseplan.runs.where import Condition, parse_condition
from sparseplan.sparsity.schedule import Schedule

Where = str | Condition | Iterable[str | Condition]


def reading_of(
    *,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    preset: str | None = None,
    where: Where | None = None,
    constants: Mapping[str, object] | None = None,
    last_per: str | None = None,
    form: str | None = None,
    schedule: Schedule | None = None,
    tokens_per_unit: float | None = None,
) -> Reading:
    """Options of a reading, checked as far as they can be without the table; see `sparseplan.fit` for their meaning.

    Args:
        form: the form to fit: a dense one makes runs dense where the table has no column of sparsity.

    Raises:
        RunsError: naming the argument.
    """
    if preset is not None:
        preset_by_name(preset)
    asked = [where] if isinstance(where, str | Condition) else list(where or ())
    return Reading(
        columns=dict(columns or {}),
        group=group,
        preset=preset,
        where=tuple(one if isinstance(one, Condition) else _condition(one) for one in asked),
        constants={name: _written(value) for name, value in (constants or {}).items()},
        last_per=last_per,
        dense=form in DENSE,
        if_dense=f"`constants` sparsity=0, or `form` {DENSE[0]}",
        schedule=schedule,
        tokens_per_unit=1.0 if tokens_per_unit is None else tokens_per_unit,
    )


def _condition(written: object) -> Condition:
    if not isinstance(written, str):
        raise RunsError(f"`where`: expected conditions such as 'optimizer=adamw', found {written!r:.60}.")
    return parse_condition(written)


def _written(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)
