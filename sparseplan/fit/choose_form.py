"""Which form to fit: the one that predicts the larger and longer runs best from the cheaper ones.

A form that fits its runs best is no better oracle beyond them, so that forms are judged by runs that they have not
seen: the dearest runs, those of the largest dense models and the longest ones are set aside in turn, and predicted from
the rest. A planner lives by the order of plans that cost the same, so that the order comes first: how wrong the
predicted difference in log loss is between two held-out runs of similar cost. Errors of level, which all plans of a
budget share, decide between forms whose order is about as good.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from sparseplan.errors import FitError
from sparseplan.fit.fitting import Fit, fit_law
from sparseplan.fit.levels import level_of
from sparseplan.fit.objective import Objective
from sparseplan.laws.forms.fitting import DENSE, SPARSE
from sparseplan.laws.forms.fitting.coordinates import Array
from sparseplan.runs.table import Runs
from sparseplan.sparsity.schedule import Schedule

AUTO, AVERAGE = "auto", "average"
_LEAST_WEIGHT = 0.02
_DEAREST = (0.5, 0.4, 0.3, 0.2, 0.1)
_SIMILAR = 1.5
_CLOSE, _LEVEL = 1.1, 1.05
_FEWEST_PAIRS = 5
_STARTS = 24


class FormScore(Struct, frozen=True, kw_only=True):
    """How one form predicted the runs that were set aside.

    Attributes:
        form: its name.
        prior: whether the weak prior was on.
        order: root mean square over pairs of held-out runs of similar cost, of the predicted less the measured
            difference in log loss.
        agree: share of these pairs whose order was predicted.
        level: root mean square of log predicted over measured loss.
        chosen: whether this is the form that was fitted.
        weight: what it counts in an average over forms, see `form_weights`; 0 where another setting of the prior does
            the form's part, or next to nothing.
    """

    form: str
    prior: bool
    order: float
    agree: float
    level: float
    chosen: bool = False
    weight: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The form to fit, and what every candidate predicted.

    Attributes:
        form: its name.
        prior: whether to fit it with the weak prior.
        scores: of all candidates that could be judged.
        left_out: the others, and why, by name.
        cuts: how many times runs were set aside.
    """

    form: str
    prior: bool
    scores: tuple[FormScore, ...]
    left_out: dict[str, str]
    cuts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Options:
    """How every candidate is fitted."""

    objective: Objective
    starts: int
    seed: int

    def fit(self, form: str, prior: bool, runs: Runs) -> Fit:
        return fit_law(runs, form=form, objective=self.objective, prior=prior, starts=self.starts, seed=self.seed)


@dataclass(frozen=True, slots=True)
class _Cut:
    """Runs to fit and runs to predict; `first` and `second` number the pairs of the latter that cost about the same.

    Cuts of one kind are nested: what one of them says of a form the others say again.
    """

    kind: str
    rest: Runs
    held: Runs
    first: NDArray[np.intp]
    second: NDArray[np.intp]


def choose_form(runs: Runs, *, objective: Objective, schedule: Schedule, starts: int, seed: int) -> Choice:
    """Judge every form, with and without the weak prior.

    Among forms whose `order` is within a tenth of the lowest, and among these those whose `level` is within a twentieth
    of the lowest, the one with the fewest coefficients is chosen, without the prior where that changes nothing.

    Args:
        runs: finished runs.
        objective: what is minimised.
        schedule: how the runs were pruned, which says what they cost.
        starts: random starting points; at most 24 are used here.
        seed: of the starting points.

    Raises:
        FitError: if too few runs cost about the same to judge an order.
    """
    cost = runs.nonzero_params * runs.data_seen * schedule.mean_density(runs.sparsity) / (1.0 - runs.sparsity)
    names = SPARSE if np.any(runs.sparsity > 0) else DENSE
    options = _Options(objective=objective, starts=min(starts, _STARTS), seed=seed)
    cuts = [cut for kind, held in _held(runs, cost) if (cut := _cut(runs, kind, held, cost))]
    plain = [options.fit(names[0], False, cut.rest) for cut in cuts]
    judged = [one for one in zip(cuts, plain, strict=True) if _determined(one[1])]
    cuts, plain = [cut for cut, _ in judged], [fit for _, fit in judged]
    if sum(len(cut.first) for cut in cuts) < _FEWEST_PAIRS:
        raise FitError(
            f"`form` auto: expected at least {_FEWEST_PAIRS} pairs of larger or longer runs of similar cost to judge "
            f"forms by, with cheaper runs that determine the form {names[0]}; found "
            f"{sum(len(cut.first) for cut in cuts)} in {len(runs)} runs. Name a `form`."
        )
    scores: list[FormScore] = []
    densities: list[float] = []
    left_out: dict[str, str] = {}
    for form in names:
        for prior in (False, True):
            try:
                known = plain if form == names[0] and not prior else None
                fits = known or (options.fit(form, prior, cut.rest) for cut in cuts)
                score, density = _judge(form, prior, cuts, fits)
                scores.append(score)
                densities.append(density)
            except FitError as problem:
                left_out[f"{form}{' with the prior' if prior else ''}"] = str(problem)
    if not scores:
        raise FitError(f"`form` auto: no form can be judged on these runs. {next(iter(left_out.values()))}")
    order = min(one.order for one in scores)
    near = [one for one in scores if one.order <= _CLOSE * order]
    level = min(one.level for one in near)
    best = next(one for one in near if one.level <= _LEVEL * level)
    shares = form_weights([one.form for one in scores], densities)
    marked = tuple(
        structs.replace(one, chosen=one is best, weight=share) for one, share in zip(scores, shares, strict=True)
    )
    return Choice(form=best.form, prior=best.prior, scores=marked, left_out=left_out, cuts=len(cuts))


def form_weights(forms: list[str], densities: list[float]) -> list[float]:
    """What each candidate counts in an average: in proportion to its predictive density on what was set aside.

    Of the two settings of the prior the denser one speaks for a form. Those below a fiftieth are left out.

    >>> [round(one, 3) for one in form_weights(["a", "a", "b"], [1.0, 0.0, 0.0])]
    [0.731, 0.0, 0.269]
    """
    best: dict[str, int] = {}
    for index, form in enumerate(forms):
        if form not in best or densities[index] > densities[best[form]]:
            best[form] = index
    speaks = list(best.values())
    shares = np.exp(np.asarray(densities)[speaks] - max(densities))
    shares = np.where(shares < _LEAST_WEIGHT * shares.sum(), 0.0, shares)
    weights = np.zeros(len(forms))
    weights[speaks] = shares / shares.sum()
    return [float(one) for one in weights]


def _held(runs: Runs, cost: Array) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Kind and mask of what to set aside: the dearest runs, the one or two largest dense sizes, the longest runs."""
    for share in _DEAREST:
        yield "dearest", cost > np.quantile(cost, 1.0 - share)
    for kind, axis in (("largest", runs.nonzero_params / (1.0 - runs.sparsity)), ("longest", runs.data_seen)):
        levels = level_of(np.log(axis))
        most = int(levels.max())
        yield from ((kind, levels > most - count) for count in (1, 2) if most - count >= 1)


def _cut(runs: Runs, kind: str, held: NDArray[np.bool_], cost: Array) -> _Cut | None:
    """None where one side would be empty, or a family would be predicted that no run is left to fit."""
    rest, target = runs.take(~held), runs.take(held)
    left = {family for family, S in zip(rest.family, rest.sparsity, strict=True) if S > 0}
    needed = {family for family, S in zip(target.family, target.sparsity, strict=True) if S > 0}
    if not len(rest) or not len(target) or not needed <= left:
        return None
    first, second = np.triu_indices(len(target), 1)
    price = np.log(cost[held])
    near = np.abs(price[first] - price[second]) < np.log(_SIMILAR)
    return _Cut(kind, rest, target, first[near], second[near])


def _determined(fit: Fit) -> bool:
    """Whether the runs determine every coefficient, the minimum reached or not."""
    return fit.certificate.status in ("converged", "not converged")


def _judge(form: str, prior: bool, cuts: list[_Cut], fits: Iterable[Fit]) -> tuple[FormScore, float]:
    """The score, every cut counting alike however many runs it has, and the logarithm of the predictive density.

    The density is that of normal errors whose scale is their root mean square: 1 over it, up to a factor that all forms
    share. Cuts of one kind, which are nested, count as one observation of each error, of level and of order.

    Raises:
        FitError: if the form can't be fitted to what a cut leaves, or the runs don't determine it there.
    """
    order, agree, level = [], [], []
    of_kind: dict[tuple[str, str], list[float]] = {}
    for cut, fit in zip(cuts, fits, strict=True):
        if not _determined(fit):
            raise FitError(f"{len(cut.rest)} of the runs do not determine it ({fit.certificate.status}).")
        predicted, measured = np.log(fit.predict(cut.held)), np.log(cut.held.loss)
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
    density = -0.5 * sum(float(np.log(np.mean(squares))) for squares in of_kind.values())
    return FormScore(form=form, prior=prior, order=values[0], agree=values[1], level=values[2]), density
