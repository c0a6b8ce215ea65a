"""What trackers call things in the tables that they export: columns, the word for a run that finished, the run's name.

Own names of ours are found under a tracker's prefixes too, so that a logged `nonzero_params` needs no mapping. What a
preset does not find is left to `columns`, which overrides it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparseplan.errors import RunsError, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """The names of one exporter.

    Attributes:
        prefixes: what may stand before a logged name.
        columns: our column names to the exporter's, the first that a table has counts.
        states: columns that say how a run ended, and `finished` what they then say, in lower case.
        scale: factors by which a column is multiplied.
        constants: our columns that the exporter's tables lack, and what they are for all its runs.
        histories: whether a table has many rows for each run, of which the last is taken.
    """

    prefixes: tuple[str, ...] = ("",)
    columns: Mapping[str, tuple[str, ...]]
    states: tuple[str, ...] = ()
    finished: frozenset[str] = frozenset()
    scale: Mapping[str, float] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    histories: bool = False

    def find(self, ours: str, columns: tuple[str, ...]) -> str | None:
        """The table's column that is ours; None where it has none."""
        for name in (*self.columns.get(ours, ()), ours):
            for prefix in self.prefixes:
                if f"{prefix}{name}" in columns:
                    return f"{prefix}{name}"
        return None


WANDB = Preset(
    prefixes=("", "summary.", "config."),
    columns={
        "run_id": ("ID", "id"),
        "nonzero_params": ("model/num_parameters",),
        "data_seen": ("train/num_input_tokens_seen",),
        "loss": ("eval/loss",),
    },
    states=("State", "state"),
    finished=frozenset({"finished"}),
)
"""Weights & Biases: the CSV of the runs table (columns Name, State, where it is shown ID, then every key of config and
summary by its bare name), or the dataframe of `Api().runs` with dictionaries in `summary` and `config`, as
docs.wandb.ai, "Import and export data", makes it. `Name` repeats, so that it names no run. States:
docs.wandb.ai/models/runs/run-states; only finished is of a whole run. The metrics are those that Hugging Face's Trainer
logs (`WandbCallback` in transformers/integrations/integration_utils.py): `model/num_parameters`, in the config, counts
embeddings too. `train/total_flos` is left out: it takes 6 FLOPs for each parameter without embeddings, so that with
that N it gives no D."""

MLFLOW = Preset(
    prefixes=("", "metrics.", "params.", "tags."),
    columns={
        "run_id": ("Run ID",),
        "data_seen": ("num_input_tokens_seen",),
        "loss": ("eval_loss",),
    },
    states=("status", "Status"),
    finished=frozenset({"finished"}),
)
"""MLflow: `mlflow.search_runs()` or `mlflow experiments csv` (columns run_id, status, metrics.*, params.*, tags.*:
`search_runs` in mlflow/tracking/fluent.py), or the CSV of its page (Run ID, Status, bare names). Of `RunStatus`
RUNNING, SCHEDULED, FINISHED, FAILED and KILLED one is of a whole run. The metrics are those of Hugging Face's Trainer
(`MLflowCallback`)."""

OLMO = Preset(
    columns={
        "run_id": ("run", "run_name", "display_name", "name", "Name"),
        "data_seen": ("throughput/total_tokens",),
        "train_flops": ("throughput/total_training_Gflops",),
        "loss": ("eval/c4_en-validation/CrossEntropyLoss",),
    },
    scale={"throughput/total_training_Gflops": 1e9},
    constants={"sparsity": "0"},
    histories=True,
)
"""OLMo's ladder of dense models (Bhagia et al. 2024, arXiv:2412.04403): histories from `download_wandb_logs.py` in
allenai/OLMo-ladder, with a row for each evaluation (_step, throughput/total_tokens, throughput/total_training_Gflops,
eval/*/CrossEntropyLoss). It writes a file for each run, whose name alone says which run and size it is: join them with
columns `run` and `nonzero_params`."""

PRESETS = {"wandb": WANDB, "mlflow": MLFLOW, "olmo": OLMO}


def preset(name: str) -> Preset:
    """A preset by its name.

    Raises:
        RunsError: if there is none.
    """
    if name not in PRESETS:
        raise RunsError(f"`preset` {name}: expected {' or '.join(PRESETS)}{nearest(name, list(PRESETS))}.")
    return PRESETS[name]
