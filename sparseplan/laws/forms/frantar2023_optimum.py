"""The optimal sparsity, in three settings: N fixed, dense parameters fixed, or size free.

With x = ln(1 - S) <= 0 and c_mul = kappa + (1 - kappa) / (1 - S), the loss along a fixed budget falls and then rises
in x, once, in each setting. So the optimum is the one root of a rising function of x, or an end of the interval:

- N fixed:  ln [a_S b_S N^-b_N / (b_D (1 - kappa) K)] + (b_S + b_D) x + (1 - b_D) ln(1 + kappa (e^x - 1)) = 0,
  K = (6 a_D tokens_per_unit N / C)^b_D; linear in x, so closed form, where kappa = 0 (dense FLOPs).
- dense parameters M fixed (N = M e^x):  the derivative of M^-b_N (a_S e^((b_S - b_N) x) + c_S e^(-b_N x))
  + K (1 + kappa (e^x - 1))^b_D.
- size free:  the derivative of ln c_mul(S) + ln f(S) / b_N. No budget in it: it holds at every C.

Everything is elementwise over arrays that broadcast, draws of the coefficients included.

Source: Frantar et al. 2023, arXiv:2309.08520, section 3.3; the settings beyond N fixed are derived here.
"""

from typing import TYPE_CHECKING

import numpy as np

from sparseplan.laws.forms.budget import Array, Floats
from sparseplan.laws.forms.roots import rising_root
from sparseplan.laws.forms.search import LOWEST_DENSITY

if TYPE_CHECKING:
    from sparseplan.laws.forms.frantar2023 import Coefficients

_LOWEST_X = float(np.log(LOWEST_DENSITY))


def budget_term(theta: "Coefficients", N: Floats, token_budget: Floats) -> Array:
    """K = (a_D N / token_budget)^b_D, the data term of a dense run of size N; `token_budget` as `Budget.tokens`."""
    return np.asarray((theta.a_D * np.asarray(N, dtype=np.float64) / token_budget) ** theta.b_D)


def sparsity_at_size(theta: "Coefficients", saving: float, N: Floats, token_budget: Floats) -> Array:
    """S_opt for N non-zero parameters; 0 where sparsity doesn't pay.

    Args:
        theta: "Coefficients"; arrays broadcast with N and token_budget.
        saving: kappa of the cost, [0, 1].
        N: Non-zero parameters, > 0.
        token_budget: C / (6 tokens_per_unit), > 0.
    """
    N = np.asarray(N, dtype=np.float64)
    a_S, b_S, b_D = (np.asarray(value, dtype=np.float64) for value in (theta.a_S, theta.b_S, theta.b_D))
    # ln of the module's bracket. At the optimum a_S b_S N^-b_N e^(b_S x) equals b_D (1 - kappa) K e^(-b_D x)
    # damping^(b_D - 1), since c_mul = e^-x damping; as logarithms neither side overflows. Where a_S = 0 the offset is
    # -inf, the condition negative everywhere, and the root the upper end, x = 0: dense.
    with np.errstate(divide="ignore"):
        data = np.log(b_D) + b_D * np.log(theta.a_D * N / token_budget) + np.log1p(-saving)
        offset = np.where(a_S > 0, np.log(a_S * b_S) - theta.b_N * np.log(N) - data, -np.inf)
    slope = b_S + b_D

    def condition(x: Array) -> tuple[Array, Array]:
        growth = np.expm1(x)  # e^x - 1, without losing its digits where S is small
        damping = 1.0 + saving * growth
        value = offset + slope * x
        derivative = np.broadcast_to(slope, x.shape)
        if saving > 0.0:
            value = value + (1.0 - b_D) * np.log(damping)
            derivative = derivative + (1.0 - b_D) * saving * (1.0 + growth) / damping
        return value, derivative

    # The start is the root itself where kappa = 0.
    return _sparsity(rising_root(condition, np.asarray(-offset / slope), _LOWEST_X, 0.0))


def sparsity_at_dense_size(theta: "Coefficients", saving: float, M: Floats, token_budget: Floats) -> Array:
    """S_opt for M parameters before pruning, of which M (1 - S) remain; arguments as in `sparsity_at_size`."""
    M = np.asarray(M, dtype=np.float64)
    a_S, b_S, b_N, b_D = (np.asarray(v, dtype=np.float64) for v in (theta.a_S, theta.b_S, theta.b_N, theta.b_D))
    # The derivative times M^b_N e^(b_N x), which keeps its sign and makes the c_S term a constant. With N = M e^x the
    # data are token_budget / (M damping): so sparsity buys data through kappa alone.
    data = budget_term(theta, M, token_budget) * M**theta.b_N * theta.b_D * saving
    remains = np.asarray(theta.c_S * b_N)
    # The a_S term raises the loss with x where b_S > b_N and lowers it where b_S < b_N; each case stays on the side
    # where it is positive, so that both sides have a logarithm.
    gain, harm = a_S * np.maximum(b_S - b_N, 0.0), a_S * np.maximum(b_N - b_S, 0.0)

    def condition(x: Array) -> tuple[Array, Array]:
        damping = 1.0 + saving * np.expm1(x)
        kept = np.exp(b_S * x)
        saved = data * np.exp((1.0 + b_N) * x) * damping ** (b_D - 1.0)
        rising, falling = gain * kept + saved, harm * kept + remains
        # ln saved grows by more than b_N per unit of x, ln (harm kept) by b_S < b_N: the ratio rises in either case.
        by_saved = saved * (1.0 + b_N + (b_D - 1.0) * saving * np.exp(x) / damping)
        # The ratio's logarithm, not the difference: the sides differ by orders of magnitude, and Newton's method needs
        # many steps along an exponential but few along a line.
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.log(rising) - np.log(falling)
            derivative = (gain * b_S * kept + by_saved) / rising - harm * b_S * kept / falling
        # Both sides vanish where nothing depends on S: then no sparsity is as good as any.
        return np.where((rising == 0.0) & (falling == 0.0), -np.inf, value), derivative

    start = np.zeros(np.broadcast_shapes(data.shape, a_S.shape, b_S.shape, remains.shape))
    return _sparsity(rising_root(condition, start, _LOWEST_X, 0.0))


def sparsity_at_free_size(theta: "Coefficients", saving: float) -> Array:
    """S_opt where N is free as well; it depends on the sparsity term, b_N and the cost alone, not on the budget."""
    a_S, b_S, c_S, b_N = (np.asarray(v, dtype=np.float64) for v in (theta.a_S, theta.b_S, theta.c_S, theta.b_N))

    # With N free the best loss of a budget falls with the size multiplier over c_mul, whatever the budget: what remains
    # to minimise is ln c_mul + ln f / b_N. The derivative of ln c_mul is -price, that of ln f is share b_S.
    with np.errstate(divide="ignore", over="ignore"):
        rest = np.where(a_S > 0.0, c_S / a_S, np.inf)

    def condition(x: Array) -> tuple[Array, Array]:
        damping = 1.0 + saving * np.expm1(x)
        with np.errstate(over="ignore", invalid="ignore"):
            # c_S / (a_S e^(b_S x)); 0 by `where` when c_S = 0, as 0 times an overflow would be NaN.
            ratio = np.where(rest > 0.0, rest * np.exp(-b_S * x), 0.0)
        share, price = 1.0 / (1.0 + ratio), (1.0 - saving) / damping
        value = share * b_S / b_N - price
        derivative = share * (1.0 - share) * b_S**2 / b_N + price * saving * np.exp(x) / damping
        return value, derivative

    # Half the weights, x = ln(1/2): near the optimum of the published laws.
    start = np.full(np.broadcast_shapes(a_S.shape, b_S.shape, c_S.shape, b_N.shape), -0.7)
    return _sparsity(rising_root(condition, start, _LOWEST_X, 0.0))


def budget_where_sparsity_is(theta: "Coefficients", saving: float, S: float, N: Floats) -> Array:
    """The token budget at which `sparsity_at_size` reaches S, that inverted; at S = 0 where sparsity begins to pay.

    Infinite where no budget is enough.
    """
    N, b_D, x = np.asarray(N, dtype=np.float64), np.asarray(theta.b_D), np.log1p(-S)
    b_S = np.asarray(theta.b_S)
    # The condition of `sparsity_at_size` at x, solved for K and K for the budget; a_S = 0 divides to inf.
    with np.errstate(divide="ignore"):
        ratio = b_D * (1.0 - saving) * N**theta.b_N / np.asarray(theta.a_S * b_S)
        steepness = (b_S + b_D) * x + (1.0 - b_D) * np.log1p(saving * np.expm1(x))
        return np.asarray(theta.a_D * N * (ratio * np.exp(-steepness)) ** (1.0 / b_D))


def _sparsity(x: Array) -> Array:
    """1 - e^x, exactly (and positively) 0 at x = 0."""
    return np.asarray(0.0 - np.expm1(x))
