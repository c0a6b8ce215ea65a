"""Which rows of a tracker's export are of runs that did not finish: W&B's State, MLflow's Status, SLURM's State.

Their losses are those of an unfinished training, with the data of a finished one beside them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sparseplan.runs.cells import Row, word
from sparseplan.runs.presets import Preset

_NAMES = ("state", "status")
_FINISHED = {"finished", "completed"}
_UNFINISHED = {
    *("running", "crashed", "failed", "killed", "preempting", "preempted", "scheduled", "pending"),  # W&B, MLflow
    *("cancelled", "timeout", "node_fail", "out_of_memory"),  # SLURM
}


@dataclass(frozen=True, slots=True)
class StateColumn:
    """The column that says which runs finished, and the words there for those that did, if they are known."""

    name: str
    finished: frozenset[str] | None = None

    def unfinished(self, row: Row) -> str | None:
        """What a row says there if its run has no final loss, else None; an empty cell says nothing."""
        state = word(row.cells.get(self.name))
        if self.finished is not None:
            return None if not state or state.lower() in self.finished else state
        return state if state.lower() in _UNFINISHED else None


def state_column(
    columns: Sequence[str], rows: Sequence[Row], read: Collection[str], preset: Preset | None
) -> StateColumn | None:
    """Where a table says which runs finished; None where it does not.

    A preset knows the column and its words. Else it is one called state or status that holds nothing but words of
    trackers. `read` are columns that are read as something else.
    """
    if preset is not None:
        known = next((name for name in preset.states if name in columns), None)
        return None if known is None else StateColumn(known, preset.finished)
    for name in columns:
        if name.lower() in _NAMES and name not in read:
            found = {word(row.cells.get(name)).lower() for row in rows} - {""}
            if found and found <= _FINISHED | _UNFINISHED:
                return StateColumn(name)
    return None
