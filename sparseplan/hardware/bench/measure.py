"""`sparseplan bench`: measure every case that is not measured yet, then write the profile."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sparseplan.common.yaml_document import reads_as_text
from sparseplan.errors import HardwareError
from sparseplan.hardware.bench.grid import cases
from sparseplan.hardware.bench.partial import Header, Partial, partial_path
from sparseplan.hardware.bench.process import Measurer
from sparseplan.hardware.bench.protocol import BLOCK_CONTEXT, Case, Facts, Job, Outcome
from sparseplan.hardware.file import HARDWARE_FOLDER, datasheet_of, write_profile
from sparseplan.hardware.profile import MeasuredProfile

SECONDS_PER_CASE = 2.0
QUICK_SECONDS_PER_CASE = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchRequest:
    """What to measure.

    Attributes:
        out: The profile to write; None names it after the device, in ./calibration/hardware.
        device: cpu, cuda or cuda:1; None takes the first GPU, else the CPU.
        widths: Widths to measure; None takes the default ones.
        quick: Fewer widths and token counts, and shorter repeats.
        peak_flops: Peak dense FLOP/s of the device; None looks for its datasheet.
        force: Whether a profile that is there may be replaced.
        seconds_per_case: Time for the repeats of a case; None takes what fits.
    """

    out: Path | None = None
    device: str | None = None
    widths: Sequence[int] | None = None
    quick: bool = False
    peak_flops: float | None = None
    force: bool = False
    seconds_per_case: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The profile, where it is, and what could not be measured."""

    profile: MeasuredProfile
    path: Path
    skipped: list[Outcome]


Progress = Callable[[int, int, Case | None], None]


def measure(request: BenchRequest, *, progress: Progress) -> Measurement:
    """Measure and write a profile; what an earlier, interrupted run measured is taken over.

    Args:
        wish: What to measure.
        progress: Called with the cases done, all cases, and the case that comes next; None at the end.

    Raises:
        HardwareError: if nothing can be measured here, the profile exists, or files can't be written.
    """
    seconds = request.seconds_per_case or (QUICK_SECONDS_PER_CASE if request.quick else SECONDS_PER_CASE)
    with Measurer(Job(device=request.device, seconds_per_case=seconds)) as measurer:
        facts = measurer.facts
        path = request.out or HARDWARE_FOLDER / f"{slug(facts.hardware.device)}.yaml"
        if path.suffix not in {".yaml", ".yml"}:
            raise HardwareError(f"`out`: expected a file ending in .yaml, found {path}.")
        if not reads_as_text(slug(path.stem)):
            raise HardwareError(
                f"{path}: the file's name becomes the profile's: expected text, found a number or the like."
            )
        if path.exists() and not request.force:
            raise HardwareError(f"{path}: there is a profile already; `force` replaces it, `out` names another file.")
        wanted = cases(gpu=facts.hardware.accelerator == "cuda", quick=request.quick, widths=request.widths)
        partial = Partial(partial_path(path), Header(facts=facts, seconds_per_case=seconds))
        for index, case in enumerate(wanted):
            progress(index, len(wanted), case)
            if case not in partial.outcomes:
                partial.add(measurer.measure(case))
        progress(len(wanted), len(wanted), None)
    outcomes = [partial.outcomes[case] for case in wanted]
    profile = assemble(facts, outcomes, name=slug(path.stem), peak_flops=request.peak_flops, seconds=seconds)
    write_profile(profile, path)
    partial.remove()
    return Measurement(profile=profile, path=path, skipped=[outcome for outcome in outcomes if outcome.point is None])


def assemble(
    facts: Facts, outcomes: Sequence[Outcome], *, name: str, peak_flops: float | None, seconds: float
) -> MeasuredProfile:
    """Make a profile of a device's facts and outcomes.

    Raises:
        HardwareError: if no case could be measured.
    """
    points = [outcome.point for outcome in outcomes if outcome.point is not None]
    if not points:
        raise HardwareError(f"nothing could be measured: {outcomes[0].skipped if outcomes else 'there are no cases'}.")
    datasheet = datasheet_of(facts.hardware.device)
    if peak_flops is None and datasheet is not None and datasheet.dtype == facts.dtype:
        peak_flops = datasheet.peak_flops
    return MeasuredProfile(
        format="sparseplan-hardware/1",
        name=name,
        description=f"Measured by sparseplan bench on {facts.hardware.device}.",
        hardware=facts.hardware,
        dtype=facts.dtype,
        peak_flops=peak_flops,
        two_to_four=facts.two_to_four,
        points=points,
        date=datetime.now(UTC).date().isoformat(),
        driver=facts.driver,
        versions=facts.versions,
        provenance={
            "method": "medians, with percentiles 10 and 90, of repeats that alternate between dense and 2:4",
            "repeats": f"about {seconds:g} s a case after warm-up, on fresh random weights and inputs",
            "training": "forward and backward, not compiled; 2:4 compresses the weights and masks gradients each time",
            "block": f"causal attention over sequences of {BLOCK_CONTEXT} tokens",
        },
    )


def slug(name: str) -> str:
    """A name for files and profiles.

    >>> slug("NVIDIA H100 80GB HBM3"), slug("Intel(R) Xeon(R) Processor")
    ('nvidia-h100-80gb-hbm3', 'intel-xeon-processor')
    """
    plain = re.sub(r"\((r|tm)\)", "", name.lower())
    return re.sub(r"[^a-z0-9._]+", "-", plain).strip("-._")[:80] or "device"
