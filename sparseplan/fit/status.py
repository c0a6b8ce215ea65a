"""The status of a fit in a word, and in a sentence with its cause and what helps."""

from dataclasses import dataclass
from typing import Literal

from sparseplan.fit.trends import Trend
from sparseplan.sparsity.pattern import UNSTRUCTURED

Status = Literal["converged", "not converged", "flat direction", "too few levels", "contradicted"]
_FINE = 1e-3
"""A Huber delta below this share of the typical residual makes the objective a sum of kinks."""
_FEW_STARTS = 16
_LEVELS = 3
"""Distinct sizes, lengths or sparsities that it takes to fit a power law with its scale and floor."""
_TIGHT = 1e5


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a status rests on.

    Attributes:
        converged: whether the best start came to rest.
        flat: the coefficients that the runs leave open, in groups of those that are mixed with each other.
        levels: distinct values of S, N and D among the runs.
        sparse: whether the law has a sparsity term.
        one_ratio: whether D / N is the same in all runs.
        runs: how many, and `parameters` how many the fit varied.
        starts: how many were made, and `at_optimum` how many reached the lowest minimum.
        denied: what the best fit says has no effect, of "size" and "data"; or "base", where a frozen base leaves
            nothing for the size to do.
        bounds_hit: coefficients at the edge of what the law allows.
        trends: see `trends`.
        condition: of the Jacobian.
        delta: where the penalty leaves the square, None where it never does; and `typical`, the median size of a
            residual.
    """

    converged: bool
    flat: tuple[tuple[str, ...], ...]
    levels: tuple[int, int, int]
    sparse: bool
    one_ratio: bool
    runs: int
    parameters: int
    starts: int
    at_optimum: int
    denied: tuple[str, ...]
    bounds_hit: tuple[str, ...]
    trends: dict[str, Trend]
    condition: float
    delta: float | None
    typical: float


def status_of(facts: Facts) -> tuple[Status, str]:
    """Status and explanation: the first of the judges below that has something to say."""
    for judge in (_too_few, _on_a_line, _contradicted, _flat, _not_converged):
        found = judge(facts)
        if found is not None:
            return found
    if facts.at_optimum < 2:
        return "converged", "only one start reached the best minimum: fit again with more `starts` to be sure."
    return "converged", "a minimum with vanishing gradient that determines every coefficient."


def _too_few(facts: Facts) -> tuple[Status, str] | None:
    few = {
        word: count
        for word, count in zip(("sparsity", "size", "length"), facts.levels, strict=True)
        if count < _LEVELS and (word != "sparsity" or facts.sparse)
    }
    opened = _open_words(facts.flat)
    if facts.flat and few:
        have = " and ".join(
            f"all have the same {word}" if count == 1 else f"have only two {_plural(word)}"
            for word, count in few.items()
        )
        more = " and ".join(
            f"two more {_plural(word)}" if count == 1 else f"one more {word}" for word, count in few.items()
        )
        names = ", ".join(name for group in facts.flat for name in group)
        return "too few levels", f"the runs {have}. Train {more}, and {names} can be fitted."
    if facts.runs <= facts.parameters:
        what = opened if facts.flat else "the law meets them exactly, and nothing is left to judge it by"
        counts = f"there are {facts.runs} runs for {facts.parameters} coefficients"
        return "too few levels", f"{counts}: {what}. Train more runs."
    return None


def _plural(word: str) -> str:
    return "sparsities" if word == "sparsity" else f"{word}s"


def _on_a_line(facts: Facts) -> tuple[Status, str] | None:
    """One ratio of data to size: only a sparsity term tells the two apart, and not where one of them has vanished."""
    if not facts.one_ratio or (facts.sparse and not facts.denied):
        return None
    return "flat direction", (
        "all runs have the same data per parameter, so that size and data could change places in the law. Train runs "
        "off that line, or freeze a known base (`freeze_dense`)."
    )


def _contradicted(facts: Facts) -> tuple[Status, str] | None:
    at = ", ".join(facts.bounds_hit)
    if "base" in facts.denied:
        return "contradicted", (
            f"on the frozen base the best fit has {at}: these runs are hardly of the base's setup. Freeze a base of "
            "the same data, tokenizer and loss, or none."
        )
    seen: list[str] = [axis for axis in ("N", "D") if axis in facts.trends]
    axes: list[str] = [{"size": "N", "data": "D"}[one] for one in facts.denied]
    if seen and not any(facts.trends[axis].falls for axis in seen):
        axes = seen
    if not axes:
        return None
    verb = "rise" if any(facts.trends[axis].rises for axis in axes if axis in facts.trends) else "do not fall"
    edge = f" ({at})" if at else ""
    return "contradicted", (
        f"the losses {verb} with {' and '.join(axes)}{edge}, which no law here describes. Check which column is "
        "which, and that the loss is one: lower is better."
    )


def _flat(facts: Facts) -> tuple[Status, str] | None:
    return ("flat direction", f"{_open_words(facts.flat)}. {_way_out(facts)}") if facts.flat else None


def _not_converged(facts: Facts) -> tuple[Status, str] | None:
    return None if facts.converged else ("not converged", _why_not_converged(facts))


def counted_before_pruning(trends: dict[str, Trend]) -> bool:
    """Whether sparser runs do worse at equal N and D: then N may count the weights before pruning."""
    return "S" in trends and trends["S"].falls


def _open_words(flat: tuple[tuple[str, ...], ...]) -> str:
    """What the runs leave open, in words: a coefficient alone is not determined, several can't be told apart."""
    alone = ", ".join(names[0] for names in flat if len(names) == 1)
    mixed = "; ".join(", ".join(names) for names in flat if len(names) > 1)
    words = [f"do not determine {alone}"] if alone else []
    words += [f"can't tell these coefficients apart: {mixed}"] if mixed else []
    return f"the runs {' and '.join(words)}"


def _way_out(facts: Facts) -> str:
    if counted_before_pruning(facts.trends):
        return "Sparser runs do worse at equal nonzero_params: does it count weights before pruning?"
    families = {name.rpartition(".")[0] for names in facts.flat for name in names}
    if not families & {"", str(UNSTRUCTURED)}:  # one sparsity beside dense, say, where others settle the base
        which = " and ".join(sorted(families))
        return f"Train more sparsities of {which}, or leave these runs out of the table."
    return "Freeze a known base (`freeze_dense`), or train runs further apart."


def _why_not_converged(facts: Facts) -> str:
    if facts.delta is not None and facts.delta < _FINE * facts.typical:
        return (
            f"the delta of the Huber penalty, {facts.delta:g}, is far below the runs' typical residual, "
            f"{facts.typical:.2g}: the objective has a kink at every run. Take a `huber_delta` of about "
            f"{facts.typical / 10:.1g}."
        )
    if facts.starts < _FEW_STARTS:
        return f"none of {facts.starts} start{'s' if facts.starts > 1 else ''} came to rest; fit with more `starts`."
    if facts.bounds_hit:
        return (
            f"the best fit lies at the edge of what the law allows ({', '.join(facts.bounds_hit)}) and does not come "
            "to rest there: these runs do not follow this law. Check the columns, or fit another `form`."
        )
    if facts.condition > _TIGHT:
        return (
            f"the runs hardly tell the coefficients apart (condition {facts.condition:.1e}). Train runs further apart, "
            "or freeze a known base (`freeze_dense`)."
        )
    return "no start came to rest: these runs do not follow this law. Check the columns, or fit another `form`."
