"""Which coefficients the runs leave open, whatever basis a linear-algebra library picks for what they can't see.

Parameters t move the runs' residuals by J dt. Write t in units in which every column of J has length 1, and let the
columns of V, orthonormal, span the directions with J V = 0. A coefficient with gradient g moves along them by g V, of
length |g V| = |P g|, P = V V' the projector on the null space: another basis turns V but leaves P as it is. The share
|P g| / |g| says of each coefficient how much of what moves it is invisible, and compares it with no other: at the end
of a valley where f(0) has all but vanished, c_S moves 1e10 times as fast as the a_D that it is mixed with.

Open coefficients i and j are mixed where g_i P g_j isn't 0. A fit reports the groups that this links; they too depend
on P only.
"""

from typing import NamedTuple

import numpy as np

from sparseplan.laws.forms.fitting.base import FittedForm
from sparseplan.laws.forms.fitting.coordinates import Array, Design

FLAT = 1e-6
"""A direction is flat if residuals move along it by less than this share of what they move along the steepest."""
_SHARE = 1e-3  # P's own error is 1e-16 / FLAT; a direction that is only nearly flat adds some 1e-5
_GONE = 1e-14


class Unseen(NamedTuple):
    """What a Jacobian can't see.

    Attributes:
        condition: largest over smallest singular value of the Jacobian with columns of length 1.
        null: orthonormal directions that it doesn't see in parameters times `scale`, shape (Q, k).
        scale: length of the Jacobian's columns, 1 where a column has none; shape (Q,).
    """

    condition: float
    null: Array
    scale: Array


def unseen(jacobian: Array) -> Unseen:
    """Condition and null space of a Jacobian (n, Q), in memory of the Jacobian's own size for any n and Q."""
    count = jacobian.shape[1]
    if not count:
        return Unseen(1.0, np.zeros((0, 0)), np.ones(0))
    size = np.linalg.norm(jacobian, axis=0)
    scale = np.where(size <= _GONE * size.max(), 1.0, size)
    triangle = np.linalg.qr(jacobian / scale, mode="r")  # (min(n, Q), Q), with J's singular values and directions
    _, singular, directions = np.linalg.svd(triangle)
    singular = np.concatenate([singular, np.zeros(count - len(singular))])
    condition = float(singular[0] / singular[-1]) if singular[-1] > 0 else np.inf
    return Unseen(condition, directions[singular < FLAT * singular[0]].T, scale)


def open_coefficients(
    form: FittedForm, design: Design, theta: Array, parameters: list[int], hidden: Unseen
) -> tuple[tuple[str, ...], ...]:
    """Names of the coefficients that `hidden` leaves open, in groups of those that are mixed with each other.

    Args:
        form: whose coefficients are meant.
        design: where the runs are.
        theta: the parameters at which the Jacobian was taken, shape (P,).
        parameters: which of them its Q columns stand for.
        hidden: what it can't see.
    """
    moves: dict[str, Array] = {}
    for name, gradient in form.open_names(design, theta).items():
        scaled = gradient[parameters] / hidden.scale
        length = float(np.linalg.norm(scaled))
        along = scaled @ hidden.null
        if length > 0 and np.linalg.norm(along) > _SHARE * length:
            moves[name] = along / np.linalg.norm(along)
    return _chains(moves)


def _chains(moves: dict[str, Array]) -> tuple[tuple[str, ...], ...]:
    """Names in groups that are linked by movements that aren't orthogonal."""
    groups: list[list[str]] = []
    for name, move in moves.items():
        linked = [group for group in groups if any(abs(move @ moves[other]) > _SHARE for other in group)]
        groups = [group for group in groups if group not in linked]
        groups.append([*(other for group in linked for other in group), name])
    order = {name: position for position, name in enumerate(moves)}
    return tuple(sorted((tuple(sorted(group, key=order.__getitem__)) for group in groups), key=lambda g: order[g[0]]))
