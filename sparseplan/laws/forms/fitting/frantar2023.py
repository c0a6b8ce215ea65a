"""The sparse law: the parametrisation of `coordinates` as it is, eta and zeta 0."""

from sparseplan.laws.forms import frantar2023
from sparseplan.laws.forms.base import Theta
from sparseplan.laws.forms.fitting.base import FittedForm, end_words
from sparseplan.laws.forms.fitting.coordinates import B_N, LOG_F, LOG_O, SIGMA, Array, Design, E, to_coefficients
from sparseplan.laws.forms.fitting.gradients import law_gradients

PARAMETERS = {LOG_F: "f(0)", B_N: "b_N", LOG_O: "E + c", SIGMA: "b_D", E: "b_D"}


class FittedFrantar2023(FittedForm):
    """Seven coefficients, two more for each further family."""

    form = frantar2023.FORM
    at_low, at_high = end_words(PARAMETERS, "c")

    def coefficients(self, design: Design, theta: Array, family: int | None) -> Theta:
        """See `to_coefficients`."""
        return to_coefficients(design, theta, family)

    def gradients(self, design: Design, theta: Array, family: int | None) -> dict[str, Array]:
        """See `law_gradients`."""
        return law_gradients(design, theta, family)
