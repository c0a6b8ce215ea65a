"""`sparseplan predict`: the loss of one run."""

from typing import Annotated

import typer

from sparseplan.cli import options as o
from sparseplan.sparsity.pattern import UNSTRUCTURED

EPILOG = """Examples:

- `sparseplan predict --params 85M --data 65B --sparsity 75%`
- `sparseplan predict --params 1B --data 20B --sparsity 0 --law besiroglu2024-chinchilla --json`"""


def predict(
    params: Annotated[
        float,
        typer.Option(
            "--params",
            parser=o.read_positive,
            metavar="N",
            help="Non-zero prunable parameters, as in 7B.",
            show_default=False,
        ),
    ],
    data: Annotated[
        float,
        typer.Option(
            "--data",
            parser=o.read_positive,
            metavar="D",
            help="Data seen in the law's unit, as in 1.5T.",
            show_default=False,
        ),
    ],
    sparsity: o.SparsityOption,
    pattern: o.PatternOption = str(UNSTRUCTURED),
    law: o.LawOption = "frantar2023-t5-c4",
    json: o.JsonOption = False,
) -> None:
    """Predict the validation loss of a run with N non-zero parameters, D data and sparsity S.

    The interval is the spread of the law's draws; a prediction outside the range of the law's runs says by how much.
    """
    from sparseplan.laws.file import load_law
    from sparseplan.plan.answer import to_json
    from sparseplan.plan.predict import predict as predict_loss

    result = predict_loss(load_law(law), N=params, D=data, S=sparsity, pattern=pattern)
    if json:
        print(to_json(result))
        return
    from sparseplan.common.console import open_console
    from sparseplan.report.plan import print_prediction

    print_prediction(open_console(), result)
