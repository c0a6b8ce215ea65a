"""A page to explore laws with, in one file that needs no network: `explore`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from sparseplan.api.named import CostLike, LawLike, load_law, profile_of
from sparseplan.common.files import write_text
from sparseplan.errors import PlanError
from sparseplan.explore.data import PackedCost, PackedLaw, PageData, palette
from sparseplan.explore.pack_cost import pack_device, pack_flops_cost
from sparseplan.explore.pack_law import pack_law, patterns
from sparseplan.explore.pack_rates import published_rates
from sparseplan.explore.page import page_html
from sparseplan.laws import DEFAULT_LAW
from sparseplan.laws.file import builtin_law, builtin_laws
from sparseplan.laws.law import Law, form_of, require_sparse
from sparseplan.plan.caveats import shadow_caveats
from sparseplan.report.caveats import GRAVEST
from sparseplan.version import __version__

if TYPE_CHECKING:
    from sparseplan.hardware.profile import Profile

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True, repr=False, eq=False)
class ExplorePage:
    """A page that answers what `optimal` answers, as people move its sliders; a browser opens it by a double click."""

    data: PageData

    def html(self, words: Callable[[str], str] = str) -> str:
        """The page; its messages are passed through `words`."""
        return page_html(self.data, words)

    def save(self, path: str | Path) -> None:
        """Write the page, whole or not at all."""
        write_text(Path(path), self.html())

    def __repr__(self) -> str:
        return f"<ExplorePage of {', '.join(law.name for law in self.data.laws)}>"


def explore(
    law: "LawLike | Sequence[LawLike] | None" = None, *, cost: "CostLike | Sequence[CostLike] | None" = None
) -> ExplorePage:
    """A page with budget, size, data, inference, law, cost and pattern as controls, and the answer beside them.

    Args:
        law: By name, path or object, one or several; the first is shown at first. They must know sparsity. By default
            the built-in laws that do, the default law first.
        cost: As for `optimal`, one or several. By default both FLOP counts and the built-in hardware profiles.

    Raises:
        SparseplanError: for a law without sparsity, an unknown name, or two of one name.

    >>> page = explore("frantar2023-t5-c4")
    >>> page.data.laws[0].cap, len(page.html()) < 3e6
    (0.875, True)
    """
    asked: list[LawLike] = _sparse_builtins() if law is None else _several(law)
    laws = [require_sparse(load_law(one)) for one in asked]
    priced: list[CostLike] = _all_costs() if cost is None else _several(cost)
    offered = patterns(laws)
    costs = [_pack_cost(one, offered) for one in priced]
    if not laws or not costs:
        raise PlanError(f"`{'cost' if laws else 'law'}`: expected at least one, found none.")
    _require_names([one.name for one in laws], "law")
    _require_names([one.name for one in costs], "cost")
    return ExplorePage(
        data=PageData(
            version=__version__,
            laws=[_pack_law(name, found, offered) for name, found in zip(asked, laws, strict=True)],
            costs=costs,
            patterns=offered,
            published=published_rates(),
            gravest=list(GRAVEST),
            palette=palette(),
        )
    )


def _several(given: T | Sequence[T]) -> list[T]:
    return list(given) if isinstance(given, list | tuple) else [cast(T, given)]


def _sparse_builtins() -> list[LawLike]:
    names = [path.stem for path in builtin_laws() if form_of(builtin_law(path.stem)).knows_sparsity]
    return sorted(names, key=lambda name: name != DEFAULT_LAW)


def _all_costs() -> "list[CostLike]":
    from sparseplan.hardware.file import builtin_profiles

    return ["sparse", "dense", *(path.stem for path in builtin_profiles())]


def _pack_law(asked: LawLike, law: Law, words: list[str]) -> PackedLaw:
    if isinstance(asked, Law):
        return pack_law(law, law.name, words)
    return pack_law(law, str(asked), words, shadow_caveats(str(asked)))


def _pack_cost(cost: "CostLike", words: list[str]) -> PackedCost:
    profile: Profile | None = profile_of(cost)
    if profile is None:
        return pack_flops_cost(str(cost))
    return pack_device(profile, str(cost) if isinstance(cost, str | Path) else profile.name, words)


def _require_names(names: Sequence[str], what: str) -> None:
    """Refuse two of one name: a link could not say which is meant.

    Raises:
        PlanError: naming it.
    """
    for name in names:
        if names.count(name) > 1:
            raise PlanError(f"`{what}`: expected different ones, found two named {name}.")
