"""How the coefficients of the law move with the solver's parameters, for the question which of them runs leave open."""

import numpy as np

from sparseplan.laws.forms.fitting.coordinates import B_N, LOG_F, LOG_O, SIGMA, Array, Design, E, kappa_of


def law_gradients(design: Design, theta: Array, family: int | None) -> dict[str, Array]:
    """Derivatives of the law's seven coefficients by the P parameters, each up to a factor of its own.

    They are those of f(0) kappa / b_S and its like in `coordinates.to_coefficients`, logarithms where these have no
    zero. A dense law, `family` None, has no a_S and b_S: theirs are 0.
    """
    sigma, e, log_o = (float(theta[index]) for index in (SIGMA, E, LOG_O))
    b_D = sigma + e
    names = ("a_S", "b_S", "c_S", "b_N", "a_D", "b_D", "c")
    a_S, b_S, c_S, b_N, a_D, exponent, c = gradients = np.zeros((7, design.size))
    found = dict(zip(names, gradients, strict=True))
    f0 = np.zeros(design.size)  # of log f(0)
    f0[[LOG_F, B_N]] = 1.0, design.log_N0
    b_N[B_N] = 1.0
    exponent[[SIGMA, E]] = 1.0
    # log a_D = log D0 + power / b_D, with power = log o + log(sigma / b_D)
    power = log_o + np.log(sigma / b_D)
    a_D[[LOG_O, SIGMA, E]] = 1.0, 1.0 / sigma - 1.0 / b_D - power / b_D, -1.0 / b_D - power / b_D
    # c = o e / b_D, by o
    c[[LOG_O, SIGMA, E]] = e / b_D, -e / b_D**2, sigma / b_D**2
    if family is None:
        c_S[:] = f0
        return found
    kappa, epsilon = kappa_of(family), kappa_of(family) + 1
    p, q = float(theta[kappa]), float(theta[epsilon])
    b_S[[kappa, epsilon]] = 1.0
    a_S[:], c_S[:] = p * f0, q * f0  # both by f(0) / b_S
    a_S[[kappa, epsilon]] += q / (p + q), -p / (p + q)
    c_S[[kappa, epsilon]] += -q / (p + q), p / (p + q)
    return found
