"""The two terms of the law at many parameter vectors, and the loss that they make: plain unless asked for more."""

from sparseplan.laws.forms.fitting.capacity import CapacityTerm
from sparseplan.laws.forms.fitting.coordinates import ETA, LOG_K, ZETA, Array, Design
from sparseplan.laws.forms.fitting.data import DataTerm
from sparseplan.laws.forms.fitting.links import Link, PowerLink
from sparseplan.laws.forms.fitting.varying_terms import VaryingCapacityTerm, VaryingDataTerm


def terms_at(design: Design, slot: dict[int, int], theta: Array) -> tuple[CapacityTerm, DataTerm]:
    """Capacity and data term at theta (Z, P); `slot` has the position of each free parameter in a gradient."""
    capacity = VaryingCapacityTerm if ETA in slot else CapacityTerm
    data = VaryingDataTerm if ZETA in slot else DataTerm
    return capacity.at(design, slot, theta), data.at(design, slot, theta)


def link_at(slot: dict[int, int], theta: Array, total: Array) -> Link:
    """From the sum of the terms, shape (Z, n), to predicted losses; theta (Z, P)."""
    return PowerLink.at(slot, theta, total) if LOG_K in slot else Link(total)
