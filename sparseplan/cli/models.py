"""`sparseplan models`: list and show real models: parameters, FLOPs, memory."""

import json as jsonlib
from typing import Annotated

import typer

from sparseplan.cli import options as o
from sparseplan.cli.once import OnceTyper

app = OnceTyper(help="List and show real models: parameters, FLOPs per token, memory.", no_args_is_help=True)


@app.command("list", epilog="Examples:\n\n- `sparseplan models list`\n- `sparseplan models list --json`")
def list_models(json: o.JsonOption = False) -> None:
    """List every model that --model finds by name, with its size and the context of its pretraining."""
    from sparseplan.api.models import describe_models

    models = describe_models()
    if json:
        keys = ("name", "model_type", "total_params", "prunable_params", "context", "source")
        o.print_json(jsonlib.dumps([{key: getattr(one, key) for key in keys} for one in models], indent=2))
    else:
        from sparseplan.report.models import print_model_list

        print_model_list(o.open_console(), models)


@app.command(
    "show",
    epilog="Examples:\n\n- `sparseplan models show llama-3-8b`\n"
    "- `sparseplan models show ./config.json --context 4096 --devices 8 --sparsity 75% --json`",
)
def show(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A model's name, or the path of its config.json.", autocompletion=o.model_names
        ),
    ],
    context: o.ContextOption = None,
    devices: Annotated[
        float,
        typer.Option("--devices", parser=o.read_positive, metavar="K", help="Devices that share the training states."),
    ] = 1.0,
    sparsity: o.SparsityOption = None,
    json: o.JsonOption = False,
) -> None:
    """Show a model: prunable and other parameters, training FLOPs of a token, memory in training and inference."""
    from sparseplan.api.models import describe_model

    found = describe_model(model, context=context, devices=devices, sparsity=sparsity or 0.0)
    if json:
        o.print_json(found.to_json())
    else:
        from sparseplan.report.models import print_model

        print_model(o.open_console(), found, sparsity=sparsity or 0.0)
