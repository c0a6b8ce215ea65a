"""What putting a law to the test would train, before it is done."""

from pathlib import Path

import msgspec
from msgspec import Struct

from sparseplan.calibration.recipe import Verifying
from sparseplan.calibration.rivals import Kind, contest
from sparseplan.calibration.setup import Setup
from sparseplan.calibration.verify import seeded
from sparseplan.errors import NoTorchError
from sparseplan.laws.file import read_law
from sparseplan.runs.facts import RunFacts
from sparseplan.runs.trunks import plan_segments
from sparseplan.sweep.estimate import expected_seconds
from sparseplan.sweep.executors import Executor


class ContestRun(RunFacts, frozen=True, kw_only=True):
    """A run of the test: the law's plan, its best dense plan or a rival."""

    kind: Kind


class VerifyForecast(Struct, frozen=True, kw_only=True):
    """The part of a dry run about the test.

    Attributes:
        train_flops: The budget of each plan, `times` that of the grid's dearest run.
        plans: How many plans, each trained for every seed.
        runs: Which, and `expected_seconds` for all of them; empty and None where there is no law yet to plan them.
        unknown_because: Why runs or time are unknown; None where they are known.
    """

    times: float
    train_flops: float
    plans: int
    runs: list[ContestRun]
    expected_seconds: float | None
    unknown_because: str | None


def verify_forecast(setup: Setup, verifying: Verifying, executor: Executor, law: Path) -> VerifyForecast:
    """Choose the runs, where the law is there, and measure how long they would take.

    Raises:
        LawError: if the law is broken.
        PlanError: if there are too few runs.
        SweepError: if a probe fails.
    """
    empty = VerifyForecast(
        times=verifying.times,
        train_flops=verifying.times * max(run.train_flops for run in setup.runs),
        plans=verifying.rivals + 2,
        runs=[],
        expected_seconds=None,
        unknown_because="the law that plans them is not fitted yet.",
    )
    if not law.exists():
        return empty
    runs = seeded(setup, contest(setup, read_law(law), verifying))
    specs = [run for _, run in runs]
    seconds = unknown = None
    try:
        speed = executor.measure_speed(specs)
        if speed.known:
            segments = plan_segments(specs, share=setup.loaded.recipe.share_trunks).segments
            seconds = expected_seconds(segments, speed, workers=len(executor.placements()))
        else:
            unknown = "the workers' devices can't be probed from here."
    except NoTorchError as problem:
        unknown = str(problem)
    return msgspec.structs.replace(
        empty,
        plans=len({(run.run_id, run.seed) for run in specs}) // len(setup.loaded.recipe.seeds),
        runs=[ContestRun(kind=kind, **msgspec.structs.asdict(run.facts())) for kind, run in runs],
        expected_seconds=seconds,
        unknown_because=unknown,
    )
