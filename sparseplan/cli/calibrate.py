"""`sparseplan calibrate`: real sparse trainings, from a recipe to a law."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparseplan.cli import options as o
from sparseplan.errors import NoTorchError, RecipeError, nearest

if TYPE_CHECKING:
    from rich.console import Console

    from sparseplan.calibration.recipe import LoadedRecipe, Verifying
    from sparseplan.calibration.verify import Verified
    from sparseplan.calibration.write_up import Conclusion
    from sparseplan.sweep.executors import Executor

EPILOG = """Examples:

- `sparseplan calibrate --dry-run`
- `sparseplan calibrate team.yaml --out calibration/team --executor slurm --device cuda --workers 16`"""

_WITHOUT_TORCH = "gpt-stdlib-cpu"
"""The built-in recipe that a dry run is of where no torch can say which devices there are."""
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def recipe_names() -> list[str]:
    """Names that RECIPE completes."""
    from sparseplan.calibration.recipe import builtin_recipes

    return [path.stem for path in builtin_recipes()]


def parse_device(text: str) -> str:
    """Read a device.

    >>> parse_device("cuda:1")
    'cuda:1'
    """
    if not _DEVICE.fullmatch(text):
        raise RecipeError(f"expected auto, cpu, cuda or cuda:0, found {text!r}.")
    return text


def executor_names() -> list[str]:
    """Names that `--executor` completes."""
    from sparseplan.sweep.executors import EXECUTORS

    return list(EXECUTORS)


def parse_executor(text: str) -> str:
    """Read the name of an executor.

    >>> parse_executor("slurm")
    'slurm'
    """
    known = executor_names()
    if text not in known:
        raise RecipeError(f"expected one of {', '.join(known)}, found {text!r}{nearest(text, known)}.")
    return text


def calibrate(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]",
            help="A recipe's path, or a built-in one's name. Default: the built-in one sized to this machine.",
            autocompletion=recipe_names,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Folder of the calibration. Default: calibration/NAME.", show_default=False
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            parser=o.reader(parse_device),
            metavar="DEVICE",
            help="auto, cpu, cuda (all GPUs) or cuda:1. Default: as the recipe says.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Trainings at the same time. Default: one per CPU core or GPU.", show_default=False
        ),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            parser=o.reader(parse_executor),
            metavar="EXECUTOR",
            help="Where workers run, such as local or slurm. Default: as the recipe says.",
            autocompletion=executor_names,
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be trained, how long it takes, and what it can tell.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="After the fit, train the plan that the law recommends for twice the grid's largest budget, its best "
            "dense plan and six rivals, and say how right it was. A recipe's verify has other numbers.",
        ),
    ] = False,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Only print the JSON Schema of recipes, so that an editor completes them."),
    ] = False,
    json: o.JsonOption = False,
) -> None:
    """Train a grid of small sparse models and fit the law of your own data and training.

    Finished runs are kept: after Ctrl-C, a crash or a full disk the same command goes on where it stopped and ends in
    the same losses. The folder that it leaves (recipe, runs, law, figures, README) is meant to be committed; its law
    is found by `--law NAME`. `--verify` puts that law to the test; `--json` then prints how it did.
    """
    from sparseplan.calibration.recipe import Verifying
    from sparseplan.calibration.setup import Changes, choose_recipe
    from sparseplan.common.console import open_console, open_progress, say
    from sparseplan.sweep.executors import DEFAULT, EXECUTORS

    if schema:
        from sparseplan.calibration.recipe import recipe_schema

        o.print_schema(recipe_schema())
        return
    console, progress = open_console(), open_progress()
    if recipe is None and EXECUTORS[executor or DEFAULT].can_probe:
        say(progress, "looking for devices, to choose a recipe")
    changes = Changes(kind=executor, device=device, workers=workers)
    try:
        loaded, place = choose_recipe(recipe, changes)
    except NoTorchError as problem:
        if not dry_run:
            raise
        say(progress, f"{problem} This is a dry run of {_WITHOUT_TORCH}.")
        loaded, place = choose_recipe(_WITHOUT_TORCH, changes)
    folder = out or Path("calibration") / loaded.recipe.name
    verifying = loaded.recipe.verify or (Verifying() if verify else None)
    if dry_run:
        _dry_run(console, progress, loaded, place, verifying, folder, json=json)
        return
    from sparseplan.calibration.calibrate import calibrate
    from sparseplan.figures.base import import_from_elsewhere

    import_from_elsewhere()
    finished = calibrate(folder, loaded, place, progress, verifying=verifying)
    if finished.conclusion is None:
        raise typer.Exit(1)
    test = finished.verified
    if test is not None and test.verification is None:
        raise typer.Exit(1)
    _print_finished(console, finished.conclusion, test, folder, json=json)


def _dry_run(
    console: "Console",
    progress: "Console",
    loaded: "LoadedRecipe",
    place: "Executor",
    verifying: "Verifying | None",
    folder: Path,
    *,
    json: bool,
) -> None:
    import tempfile

    from sparseplan.calibration.dry_run import dry_run, to_json
    from sparseplan.calibration.setup import set_up
    from sparseplan.calibration.verify_forecast import verify_forecast
    from sparseplan.common.console import say
    from sparseplan.report.calibration import print_dry_run
    from sparseplan.sweep.folder import Folder

    with tempfile.TemporaryDirectory(prefix="sparseplan-corpus-") as corpus:
        say(progress, f"{loaded.recipe.name}: preparing its data")
        setup = set_up(loaded, Path(corpus))
        if place.can_probe:
            say(progress, "looking for devices, and measuring how fast they train")
        result = dry_run(setup, place)
        if verifying is not None:
            result = result.with_test(verify_forecast(setup, verifying, place, Folder(folder).law))
    if json:
        o.print_json(to_json(result))
    else:
        print_dry_run(console, result)


def _print_finished(
    console: "Console", conclusion: "Conclusion", test: "Verified | None", folder: Path, *, json: bool
) -> None:
    found = None if test is None else test.verification
    if json:
        from sparseplan.calibration.verification import to_json as test_json
        from sparseplan.fit.answer import to_json as fit_json

        o.print_json(fit_json(conclusion.result.answer) if found is None else test_json(found))
        return
    from sparseplan.report.calibration import print_conclusion
    from sparseplan.report.verification import print_verification

    print_conclusion(console, conclusion, folder)
    if test is not None and found is not None:
        print_verification(console, found, test.law, written=test.written)
