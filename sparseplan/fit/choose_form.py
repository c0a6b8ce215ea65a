"""Which form to fit: the one that predicts the larger and longer runs best from the cheaper ones, or several of them.

A form that fits its runs best is no better oracle beyond them, so that forms are judged by runs that they have not
seen: the dearest runs, those of the largest dense models and the longest ones are set aside in turn, and predicted from
the rest. Two errors count. A planner lives by the order of plans that cost the same: how wrong the predicted difference
in log loss is between two held-out runs of similar cost. And the level, which all plans of a budget share.

The evidence for a form is its predictive density, that of normal errors whose scale is their root mean square: minus
the sum of the logarithms of these, for order and level and each kind of run set aside. Two forms are compared by the
differences of these logarithms, whose scatter is the standard error of their sum. Forms within two standard errors of
the densest are close: what is known does not tell them apart, and a law of all of them says so by its intervals.

Source: Vehtari, Gelman & Gabry 2017, doi:10.1007/s11222-016-9696-4 (paired differences of predictive density and their
standard error); Yao et al. 2018, doi:10.1214/17-BA1091 (weights by predictive density).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from sparseplan.errors import FitError
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.objective import Objective
from sparseplan.fit.rolling import Mask, determined, fits_without, held_out
from sparseplan.laws.forms.fitting import DENSE, SPARSE
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule

AUTO, AVERAGE = "auto", "average"
_LEAST_WEIGHT, _LEAST_OF_EVERY = 0.1, 0.02
_SIMILAR = 1.5
STANDARD_ERRORS = 2.0
_PRIOR_WORTH = 0.1
_CLOSE, _LEVEL = 1.1, 1.05
_FEWEST_PAIRS, _MOST_PAIRS = 5, 20_000
_MOST_RUNS = 1000
_ROUNDING = 1e-28  # of a squared log loss
_STARTS = 24


class UnjudgedError(FitError):
    """Runs that can't tell forms apart; its text says why, in sentences."""


class FormScore(Struct, frozen=True, kw_only=True):
    """How one form predicted the runs that were set aside.

    Attributes:
        form: its name.
        prior: whether the weak prior was on.
        order: root mean square over pairs of held-out runs of similar cost, of the predicted less the measured
            difference in log loss.
        agree: share of these pairs whose order was predicted.
        level: root mean square of log predicted over measured loss.
        behind: by how much its log predictive density is below that of the densest form; 0 for that one.
        uncertain: standard error of `behind`.
        chosen: whether this is the form that was fitted, or that speaks for an average in the report.
        weight: what it counts in the law, 1 where it stands alone; 0 where another setting of the prior does the
            form's part, or where it predicts clearly worse.
    """

    form: str
    prior: bool
    order: float
    agree: float
    level: float
    behind: float = 0.0
    uncertain: float = 0.0
    chosen: bool = False
    weight: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The form to fit, and what every candidate predicted.

    Attributes:
        form: its name.
        prior: whether to fit it with the weak prior.
        scores: of all candidates that could be judged; those with a weight make the law.
        left_out: the others, and why, by name.
        cuts: how many times runs were set aside.
    """

    form: str
    prior: bool
    scores: tuple[FormScore, ...]
    left_out: dict[str, str]
    cuts: int

    @property
    def counted(self) -> list[FormScore]:
        """Those that make the law, the chosen one first."""
        return sorted((one for one in self.scores if one.weight > 0.0), key=lambda one: not one.chosen)

    def without(self, reasons: dict[str, str]) -> "Choice":
        """The choice among the forms that are left, the heaviest of them chosen where the chosen one is gone."""
        left = [one for one in self.counted if one.form not in reasons]
        total = sum(one.weight for one in left)
        first = left[0] if left[0].chosen else max(left, key=lambda one: one.weight)
        scores = tuple(
            structs.replace(
                one, chosen=one is first, weight=one.weight / total if any(one is kept for kept in left) else 0.0
            )
            for one in self.scores
        )
        return replace(self, form=first.form, prior=first.prior, scores=scores, left_out=self.left_out | reasons)

    def alone(self, reason: str) -> "Choice":
        """The chosen form alone; `reason` is why the others don't count."""
        return self.without({one.form: reason for one in self.counted if not one.chosen})

    @property
    def words(self) -> str:
        """What the law is made of, and why, in a sentence."""
        shares = [
            f"{one.form}{' with the weak prior' if one.prior else ''}"
            + (f" {100 * one.weight:.0f}%" if one.weight < 1.0 else "")
            for one in self.counted
        ]
        if len(shares) > 1:
            return (
                f"{', '.join(shares[:-1])} and {shares[-1]}, averaged: runs that were set aside do not tell which of "
                "these forms predicts larger and longer runs best."
            )
        others = {one.form for one in self.scores} - {self.form} - set(self.left_out)
        found = "no other form could be judged" if not others else f"{' and '.join(sorted(others))} predicted worse"
        return f"{shares[0]}: of larger and longer runs that were set aside, {found}."


@dataclass(frozen=True, slots=True)
class _Cut:
    """Which runs to predict; `first` and `second` number the pairs of these that cost about the same.

    Cuts of one kind are nested: what one of them says of a form the others say again.
    """

    kind: str
    held: Mask
    first: NDArray[np.intp]
    second: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Judged:
    """A candidate's score, and the logarithms of its errors, of level and of order for each kind of run set aside."""

    score: FormScore
    logs: Array

    @property
    def density(self) -> float:
        return -float(self.logs.sum())

    def behind(self, best: "_Judged") -> tuple[float, float]:
        """How far it is behind, and the standard error of that."""
        gaps = self.logs - best.logs
        return float(gaps.sum()), float(np.sqrt(len(gaps)) * np.std(gaps, ddof=1))


def choose_form(
    runs: Runs,
    *,
    objective: Objective,
    schedule: Schedule,
    starts: int,
    seed: int,
    every: bool = False,
    priors: tuple[bool, ...] = (False, True),
) -> Choice:
    """Judge every form, with and without the weak prior.

    Of a form's two settings of the prior the denser one speaks for it, that with the prior only if it is denser by a
    tenth. Of the forms that are close to the densest one is chosen: among those whose `order` is within a tenth of the
    lowest, and among these those whose `level` is within a twentieth of the lowest, that with the fewest coefficients.

    Args:
        runs: finished runs.
        objective: what is minimised.
        schedule: how the runs were pruned, which says what they cost.
        starts: random starting points; at most 24 are used here.
        seed: of the starting points.
        every: weigh all forms, not only those that are close to the densest.
        priors: without the prior, with it, or both.

    Raises:
        UnjudgedError: if too few runs cost about the same to judge an order, or no form can be judged.
        FitError: if the runs can't be fitted at all.
    """
    cost = _log_cost(runs, schedule)
    if len(runs) > _MOST_RUNS:
        runs = runs.take(np.argsort(cost, kind="stable")[:: -(-len(runs) // _MOST_RUNS)])
        cost = _log_cost(runs, schedule)
    names = SPARSE if np.any(runs.sparsity > 0) else DENSE
    cuts = [cut for kind, held in held_out(runs, cost) if (cut := _cut(kind, held, cost))]

    def fitted(form: str, *, prior: bool, bare: Sequence[Fit | None] | None = None) -> list[Fit | None]:
        whole = fit_law(runs, form=form, objective=objective, prior=prior, starts=min(starts, _STARTS), seed=seed)
        return fits_without(whole, [cut.held for cut in cuts], seed=seed, bare=bare)

    plain = fitted(names[0], prior=False) if cuts else []
    usable = [index for index, fit in enumerate(plain) if determined(fit)]
    cuts, plain = [cuts[index] for index in usable], [plain[index] for index in usable]
    pairs = sum(len(cut.first) for cut in cuts)
    if pairs < _FEWEST_PAIRS:
        raise UnjudgedError(
            f"expected at least {_FEWEST_PAIRS} pairs of larger or longer runs of similar cost to judge forms by, with "
            f"cheaper runs that determine the form {names[0]}; found {pairs} in {len(runs)} runs."
        )
    judged: list[_Judged] = []
    left_out: dict[str, str] = {}
    for form in names:
        bare: list[Fit | None] | None = plain if form == names[0] else None
        for prior in priors:
            try:
                fits = plain if form == names[0] and not prior else fitted(form, prior=prior, bare=bare)
                bare = fits
                judged.append(_judge(form, prior, runs, cuts, fits))
            except FitError as problem:
                left_out[f"{form}{' with the prior' if prior else ''}"] = str(problem)
    if not judged:
        raise UnjudgedError(f"no form can be judged on these runs. {next(iter(left_out.values()))}")
    return _weighed(judged, left_out, len(cuts), every=every)


def _weighed(judged: list[_Judged], left_out: dict[str, str], cuts: int, *, every: bool) -> Choice:
    speaks = _speakers(judged)
    best = max((judged[index] for index in speaks), key=lambda one: one.density)
    gaps = [one.behind(best) for one in judged]
    close = [index for index in speaks if every or gaps[index][0] <= STANDARD_ERRORS * gaps[index][1]]
    least = _LEAST_OF_EVERY if every else _LEAST_WEIGHT
    shares = dict(zip(close, weights_of([judged[index].density for index in close], least), strict=True))
    close = [index for index in close if shares[index] > 0.0]
    order = min(judged[index].score.order for index in close)
    near = [index for index in close if judged[index].score.order <= _CLOSE * order]
    level = min(judged[index].score.level for index in near)
    chosen = next(index for index in near if judged[index].score.level <= _LEVEL * level)
    scores = tuple(
        structs.replace(
            one.score,
            behind=gap[0],
            uncertain=gap[1],
            chosen=index == chosen,
            weight=shares.get(index, 0.0),
        )
        for index, (one, gap) in enumerate(zip(judged, gaps, strict=True))
    )
    picked = scores[chosen]
    return Choice(form=picked.form, prior=picked.prior, scores=scores, left_out=left_out, cuts=cuts)


def _speakers(judged: list[_Judged]) -> list[int]:
    """The setting of the prior that speaks for each form, in the order of the forms."""
    best: dict[str, int] = {}
    for index, one in enumerate(judged):
        worth = _PRIOR_WORTH if one.score.prior else 0.0
        known = best.get(one.score.form)
        if known is None or one.density > judged[known].density + worth:
            best[one.score.form] = index
    return list(best.values())


def weights_of(densities: list[float], least: float) -> list[float]:
    """Weights in proportion to predictive densities, given by their logarithms; those below `least` are left out.

    >>> [round(one, 3) for one in weights_of([1.0, 0.0, -9.0], 0.02)]
    [0.731, 0.269, 0.0]
    """
    shares = np.exp(np.asarray(densities) - max(densities))
    shares = np.where(shares < least * shares.sum(), 0.0, shares)
    return [float(one) for one in shares / shares.sum()]


def _log_cost(runs: Runs, schedule: Schedule) -> Array:
    """ln(N D c_mul), shape (n,): N D itself may overflow."""
    extra = schedule.mean_density(runs.sparsity) / (1.0 - runs.sparsity)
    return np.asarray(np.log(runs.nonzero_params) + np.log(runs.data_seen) + np.log(extra))


def _cut(kind: str, held: Mask, cost: Array) -> _Cut | None:
    """None where one side would be empty."""
    if not held.any() or held.all():
        return None
    return _Cut(kind, held, *_pairs(cost[held]))


def _pairs(price: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of runs whose costs, given by their logarithms, are within a factor of 1.5; of very many some."""
    order = np.argsort(price, kind="stable")
    ascending = price[order]
    dearer = np.searchsorted(ascending, ascending + np.log(_SIMILAR)) - np.arange(1, len(price) + 1)
    after = np.cumsum(dearer)
    total = int(after[-1])
    number = np.arange(total)
    if total > _MOST_PAIRS:
        number = np.random.default_rng(0).integers(total, size=_MOST_PAIRS)
    cheap = np.searchsorted(after, number, side="right")
    return order[cheap], order[cheap + 1 + number - (after[cheap] - dearer[cheap])]


def _judge(form: str, prior: bool, runs: Runs, cuts: list[_Cut], fits: Sequence[Fit | None]) -> _Judged:
    """Every cut counts alike in the score, however many runs it has.

    Cuts of one kind, which are nested, count as one observation of each error, of level and of order, in the density.

    Raises:
        FitError: if the form can't be fitted to what a cut leaves, or the runs don't determine it there.
    """
    order, agree, level = [], [], []
    of_kind: dict[tuple[str, str], list[float]] = {}
    for cut, fit in zip(cuts, fits, strict=True):
        rest = int((~cut.held).sum())
        if fit is None:
            raise FitError(f"{rest} of the runs have a best fit that makes no sense.")
        if not determined(fit):
            raise FitError(f"{rest} of the runs do not determine it ({fit.certificate.status}).")
        held = runs.take(cut.held)
        predicted, measured = np.log(fit.predict(held)), np.log(held.loss)
        level.append(float(np.mean((predicted - measured) ** 2)))
        of_kind.setdefault((cut.kind, "level"), []).append(level[-1])
        if len(cut.first):
            gaps = predicted[cut.first] - predicted[cut.second], measured[cut.first] - measured[cut.second]
            order.append(float(np.mean((gaps[0] - gaps[1]) ** 2)))
            of_kind.setdefault((cut.kind, "order"), []).append(order[-1])
            agree.append(float(np.mean(np.sign(gaps[0]) == np.sign(gaps[1]))))
    values = [float(np.sqrt(np.mean(order))), float(np.mean(agree)), float(np.sqrt(np.mean(level)))]
    if not np.all(np.isfinite(values)):
        raise FitError("it predicts no finite loss for some of the runs that were set aside.")
    logs = np.array([0.5 * np.log(max(float(np.mean(squares)), _ROUNDING)) for squares in of_kind.values()])
    return _Judged(FormScore(form=form, prior=prior, order=values[0], agree=values[1], level=values[2]), logs)
