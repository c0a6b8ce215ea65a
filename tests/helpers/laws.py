"""The paper's two laws, as their built-in files have them."""

from sparseplan.laws.file import load_law
from sparseplan.laws.forms.frantar2023 import Coefficients
from sparseplan.laws.law import coefficients


def published(name: str) -> Coefficients:
    """The unstructured coefficients of a built-in law of Frantar et al. 2023."""
    theta = coefficients(load_law(name), "unstructured")
    assert isinstance(theta, Coefficients)
    return theta


T5 = published("frantar2023-t5-c4")
VIT = published("frantar2023-vit-jft")
