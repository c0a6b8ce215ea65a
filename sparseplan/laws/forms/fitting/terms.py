"""The two terms of the law at many parameter vectors: the plain ones unless eta or zeta is varied."""

from sparseplan.laws.forms.fitting.capacity import CapacityTerm
from sparseplan.laws.forms.fitting.coordinates import ETA, ZETA, Array, Design
from sparseplan.laws.forms.fitting.data import DataTerm
from sparseplan.laws.forms.fitting.varying_terms import VaryingCapacityTerm, VaryingDataTerm


def terms_at(design: Design, slot: dict[int, int], theta: Array) -> tuple[CapacityTerm, DataTerm]:
    """Capacity and data term at theta (Z, P); `slot` has the position of each free parameter in a gradient."""
    capacity = VaryingCapacityTerm if ETA in slot else CapacityTerm
    data = VaryingDataTerm if ZETA in slot else DataTerm
    return capacity.at(design, slot, theta), data.at(design, slot, theta)
