"""Caveats: what an answer or a fit cannot vouch for, each with a stable code for machines and a sentence for people."""

from msgspec import Struct

CODES = {
    # of plans and predictions
    "dense-only": "The law knows nothing of sparsity; the answer is its dense plan.",
    "dense-extrapolation": "The dense plan, or the dense run of equal loss, lies outside what the law's runs covered.",
    "draws-left-out": "Some draws overflow and are not counted in the intervals.",
    "extrapolation": "A planned value lies outside what the law's runs covered; `extrapolation` has the distance.",
    "held-out-error": "The law has no draws and so no intervals; its published error on held-out runs stands in.",
    "no-draws": "The law carries no bootstrap draws for this question, so there are no intervals.",
    "no-range": "The law does not say what its runs covered on every axis.",
    "one-ratio": "All runs have about one ratio of data to parameters: size and data can hardly be told apart.",
    "only-dense": "The pattern, or the highest sparsity allowed, leaves no sparsity above 0.",
    "partial-draws": "The draws take some coefficients as exactly known; the intervals leave their error out.",
    "pattern-borrowed": "The law has no coefficients for the pattern; those for unstructured sparsity stand in.",
    "poor-fit": "The law's own fit did not end as `converged`.",
    "pretrained-start": "The law's runs started from dense checkpoints; D and FLOPs count what comes after those.",
    "repetition-borrowed": "The law says nothing of repeated data; the rates of a published law stand in.",
    "repetition-disagreement": "The published rates of repetition disagree on whether sparsity pays.",
    "repetition-undrawn": "The intervals take the rates of repetition as exactly known.",
    "shadowed": "A law of the user's answered that has the name of a built-in one.",
    "start-assumed": "What a dense checkpoint's data count for once it is pruned is assumed, not measured.",
    "start-extrapolation": "A dense checkpoint was trained on other amounts of data than those of the law's runs.",
    "sparsity-gap": "The sparsity lies in a wide gap between those that were run.",
    "sparsity-capped": "The best sparsity lies above the highest one allowed, by default that of the law's runs.",
    "transferred": "The sparsity term was borrowed from another law with `laws compose`.",
    # of hardware
    "hardware-claimed": "Speed-ups of the profile's kernels are claimed, without a printed measurement.",
    "hardware-datasheet": "The profile is a vendor's datasheet, not a measurement.",
    "hardware-extrapolation": "A model is wider or narrower than what was measured on the device.",
    "hardware-no-2to4": "The device does not accelerate 2:4 in training.",
    # of fits; plans repeat those in TRAVELS
    "base": "f(0) came out off the frozen base's dense value.",
    "base-draws": "The frozen base carries no draws; the intervals leave its uncertainty out.",
    "bound": "Coefficients lie at the edge of what the law allows.",
    "dependence": "An exponent seems to depend on sparsity.",
    "draws": "Some refits of the bootstrap did not converge and were left out.",
    "few-groups": "The draws rest on few independent runs or groups.",
    "shared-errors": "Errors of runs that share a size, a length, a trunk or a seed are alike; the draws take it so.",
    "dense-counts": "Sparser runs do worse at equal size: the sizes may be counted before pruning.",
    "few-runs": "There are fewer than three runs per coefficient.",
    "group-unused": "The table has a column called `group` that was not asked for, so it was not used.",
    "misfit": "The law misses half of its runs by more than 3 %.",
    "no-dense-runs": "No run is dense, so that the law's dense model is extrapolated.",
    "one-sparsity": "A pattern family was run at one sparsity; the law's others are assumed.",
    "outliers": "Runs lie far further from the law than the others.",
    "left-out": "Rows of the table were left out.",
    "repetition-open": "The runs do not determine a rate at which repeated data or size counts.",
    "rival": "The average-parameter law may do as well on these runs.",
    "schedule-assumed": "Nothing says how the runs were pruned; the ramp was assumed.",
    "status": "The fit did not end as `converged`, or one start alone reached its minimum.",
    "trend": "The losses do not fall with size or data.",
    "units": "Sizes, data or losses look as if they were in other units, or in each other's place.",
    "wide": "The runs do not pin down some coefficients.",
    # of `laws check`, beside no-range and no-draws
    "data-per-param": "Compute-optimal models would see far more or fewer tokens per parameter than any measured.",
    "data-units": "Data look counted in thousands, millions or billions.",
    "dense-mismatch": "Pattern families disagree about the dense model, which is one.",
    "far-coefficient": "A coefficient is 0, or far from every one published.",
    "free-pruning": "Pruning a dense model would make it better: what is left counts for more than the whole.",
    "numerator": "A numerator seems to stand where the scale of the data term is expected.",
    "odd-draws": "The draws do not surround the law's own predictions.",
    "odd-losses": "The losses over the range are no cross-entropies, or hardly depend on size and data.",
    "pattern-better": "A pattern family is better than unstructured sparsity, which contains it.",
    "size-units": "Sizes look counted in thousands, millions or billions.",
    "swapped-weights": "The two weights of the sparsity term look swapped.",
    "tokens-per-unit": "The tokens per data unit do not fit the unit.",
}
"""Every code and what it says; docs/warnings.md lists them."""


SCHEDULE = "schedule-assumed"
TRAVELS = (
    *("units", "trend", "dense-counts", "misfit", "one-ratio", "one-sparsity", "base", "dependence"),
    *("few-runs", "few-groups", SCHEDULE),
)
"""Warnings of a fit that its law file carries, so that every plan made with the law repeats them."""


class Caveat(Struct, frozen=True, kw_only=True):
    """One caveat: one of `CODES`, and the sentence with this answer's numbers in it."""

    code: str
    message: str

    def __post_init__(self) -> None:
        assert self.code in CODES, f"{self.code} is not among the registered codes"
