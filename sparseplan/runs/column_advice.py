"""Which of a table's columns is probably which of ours: the nearest name, and the names that people use."""

import re
from collections.abc import Collection
from difflib import get_close_matches

_USED = {
    "sparsity": ("s", "final_sparsity", "target_sparsity", "sparsity_level", "sparsity_ratio", "pruning_ratio"),
    "nonzero_params": (
        *("n", "nnz", "nonzero", "nonzeros", "non_zero_params", "non_zero_parameters", "nonzero_parameters"),
        *("active_params", "active_parameters", "params", "parameters", "n_params", "num_params", "num_parameters"),
        *("param_count", "model_params", "model_size"),
    ),
    "data_seen": (
        *("d", "tokens", "n_tokens", "num_tokens", "tokens_seen", "total_tokens", "train_tokens", "training_tokens"),
        *("data", "samples_seen", "images_seen", "images", "examples_seen"),
    ),
    "loss": (
        *("l", "val_loss", "valid_loss", "validation_loss", "eval_loss", "test_loss", "final_loss", "loss_val"),
        *("loss_valid", "loss_validation", "loss_eval", "val_loss_final", "final_val_loss", "best_val_loss"),
    ),
}
_ANY_COUNT = {"n", "params", "parameters", "n_params", "num_params", "num_parameters", "param_count", "model_params"}
_ANY_COUNT |= {"model_size"}
_CLOSE = 0.75


def advice(missing: Collection[str], columns: Collection[str]) -> str:
    """How to map the columns that are missing, as options; empty where none of the table's looks like one.

    >>> advice(["nonzero_params"], ["nonzero_param", "run_id"])
    'Map it: `columns` nonzero_params=nonzero_param.'
    >>> advice(["data_seen", "loss"], ["config.tokens", "eval/loss", "run_id"])
    'Map them: `columns` data_seen=config.tokens `columns` loss=eval/loss.'
    """
    taken: dict[str, str] = {}
    for ours in missing:
        found = _likely(ours, [name for name in columns if name not in taken.values()])
        if found is not None:
            taken[ours] = found
    if not taken:
        return ""
    options = " ".join(f"`columns` {ours}={theirs}" for ours, theirs in taken.items())
    which = (
        ""
        if _plain(taken.get("nonzero_params", "")) not in _ANY_COUNT
        else (f" If {taken['nonzero_params']} counts weights before pruning, it is dense_params.")
    )
    return f"Map {'it' if len(taken) == 1 else 'them'}: {options}.{which}"


def _likely(ours: str, columns: list[str]) -> str | None:
    """A column of a used name, whole or behind its last dot or slash; else the one whose spelling is nearest."""
    for whole in (True, False):
        plain = {_plain(name, whole=whole): name for name in reversed(columns)}
        for used in (ours, *_USED[ours]):
            if used in plain:
                return plain[used]
    spelled = {_plain(name): name for name in reversed(columns)}
    for used in (ours, *(name for name in _USED[ours] if len(name) > 3)):
        close = get_close_matches(used, spelled, n=1, cutoff=_CLOSE)
        if close:
            return spelled[close[0]]
    return None


def _plain(name: str, *, whole: bool = True) -> str:
    """Lower case with underscores; without `whole` only what follows the last dot or slash."""
    word = name if whole else re.split(r"[./]", name)[-1]
    return re.sub(r"[^a-z0-9]+", "_", word.strip().lower()).strip("_")
