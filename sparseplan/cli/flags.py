"""Words of the library in the words of the command line.

Below the commands, messages name arguments and functions in backticks, as Python's users write them: `max_sparsity`,
`laws.compose`. This table says what they are called here; what it does not know loses its backticks.
"""

import re

_NAME = re.compile(r"`([A-Za-z_][A-Za-z0-9_.]*)`")

FLAGS = {
    # commands
    "bench": "sparseplan bench",
    "fit": "sparseplan fit",
    "hardware.show": "sparseplan hardware show",
    "models.list": "sparseplan models list",
    "laws.check": "sparseplan laws check",
    "laws.compose": "sparseplan laws compose",
    # options that are not simply their field with dashes
    "columns": "--column",
    "constants": "--set",
    "dense_data": "--from-dense",
    "draws": "--bootstrap",
    "save": "--out",
}
_OPTIONS = (
    *("flops", "params", "dense_params", "data", "sparsity", "pattern", "law", "strategy", "cost", "max_sparsity"),
    *("unique_data", "max_data", "tokens_per_param", "inference_tokens", "inference", "inference_weight"),
    *("inference_price", "inference_utilization", "inference_batch"),
    "objective",
    *("device_hours", "days", "peak", "utilization", "devices", "price", "points", "out", "force", "device"),
    *(
        "group",
        "form",
        "freeze_dense",
        "tie_dense",
        "holdout",
        "starts",
        "seed",
        "name",
        "data_unit",
        "residual",
        "schedule",
        "loss",
    ),
    *("executor", "workers", "huber_delta", "tokens_per_unit", "report", "explain", "markdown", "json"),
    *("runs", "budget", "sizes", "most", "noise"),
    *("where", "last_per", "preset"),
    *("model", "context", "max_memory"),
    *("plan_flops", "plan_params", "width", "plot"),
)
FLAGS |= {name: f"--{name.replace('_', '-')}" for name in _OPTIONS}


def in_flags(text: str) -> str:
    """A message of the library for the command line.

    >>> in_flags("expected `params` or `dense_params`; see `laws.check`, `unknown`")
    'expected --params or --dense-params; see sparseplan laws check, unknown'
    """
    return _NAME.sub(lambda match: FLAGS.get(match[1], match[1]), text)
