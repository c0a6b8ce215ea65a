"""`sparseplan predict`: the loss of one run."""

from typing import Annotated

import typer

from sparseplan.cli import options as o
from sparseplan.laws import DEFAULT_LAW
from sparseplan.sparsity.pattern import UNSTRUCTURED

EPILOG = """Examples:

- `sparseplan predict --params 85M --data 65B --sparsity 75%`
- `sparseplan predict --dense-params 2B --data 40B --pattern 2:4`
- `sparseplan predict --params 1B --data 20B --sparsity 0 --law besiroglu2024-chinchilla --json`"""


def predict(
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
    params: o.ParamsOption = None,
    dense_params: o.DenseParamsOption = None,
    sparsity: o.SparsityOption = None,
    pattern: o.PatternOption = str(UNSTRUCTURED),
    law: o.LawOption = DEFAULT_LAW,
    strategy: o.StrategyOption = None,
    unique_data: o.UniqueDataOption = None,
    json: o.JsonOption = False,
) -> None:
    """Predict the validation loss of a run with N non-zero parameters, D data and sparsity S.

    The interval is the spread of the law's draws; a prediction outside the range of the law's runs says by how much.
    """
    from sparseplan.api.predicting import predict as predict_loss

    prediction = predict_loss(
        data=data,
        params=params,
        dense_params=dense_params,
        sparsity=sparsity,
        pattern=pattern,
        law=law,
        strategy=strategy,
        unique_data=unique_data,
    )
    if json:
        o.print_json(prediction.to_json())
        return
    from sparseplan.report.prediction import print_prediction

    print_prediction(o.open_console(), prediction)
