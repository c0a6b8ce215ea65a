"""Which rows of a tracker's export are of runs that did not finish: W&B's State, MLflow's Status, SLURM's State.

Their losses are those of an unfinished training, with the data of a finished one beside them.
"""

from collections.abc import Collection

from sparseplan.runs.reader import Row, Table

_NAMES = ("state", "status")
_FINISHED = {"finished", "completed"}
_UNFINISHED = {
    *("running", "crashed", "failed", "killed", "preempting", "preempted", "scheduled", "pending"),  # W&B, MLflow
    *("cancelled", "timeout", "node_fail", "out_of_memory"),  # SLURM
}


def state_column(table: Table, read: Collection[str]) -> str | None:
    """The column that says which runs finished; None where there is none. `read` are read as something else."""
    for name in table.columns:
        if name.lower() in _NAMES and name not in read:
            found = {state_of(row, name).lower() for row in table.rows} - {""}
            if found and found <= _FINISHED | _UNFINISHED:
                return name
    return None


def state_of(row: Row, column: str) -> str:
    """What a row says there, empty where it says nothing."""
    return str(row.cells.get(column) or "").strip()


def is_unfinished(word: str) -> bool:
    """Whether a run in this state has no final loss."""
    return word.lower() in _UNFINISHED
