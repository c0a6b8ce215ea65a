"""Errors that the user caused and can mend; the command line turns each into one message and exit code 2."""

from difflib import get_close_matches


class SparseplanError(Exception):
    """Bad input of any kind; the message says where, what was expected, what was found and what to do."""


class QuantityError(SparseplanError, ValueError):
    """A number, duration or sparsity that can't be read or lies outside its range."""


class PatternError(SparseplanError, ValueError):
    """An impossible n:m pattern."""


class LawError(SparseplanError):
    """A law that is unknown, can't be read, or can't answer the question."""


class CorpusError(SparseplanError):
    """Text or tokens that can't be read, or are too few to train and validate on."""


class HardwareError(SparseplanError):
    """A hardware profile that is unknown or can't be read, or a device that can't be measured."""


class ModelError(SparseplanError):
    """A model that is unknown, or whose config can't be read."""


class PlanError(SparseplanError):
    """A question that contradicts itself or has no answer."""


class RunsError(SparseplanError):
    """A runs table that can't be read, with every bad row named."""


class RecipeError(SparseplanError):
    """A calibration recipe that can't be read or can't be trained."""


class SweepError(SparseplanError):
    """A sweep that can't start or can't go on; what is finished is kept."""


class NoTorchError(SweepError):
    """There is no torch here, or none that starts: nothing can be trained, but anything can be planned."""


class BrokenFileError(SparseplanError):
    """A file of a sweep that was read and found broken; one that can't be read at all is not this."""


class FitError(SparseplanError):
    """A fit that can't be started: options that contradict each other, or a table with nothing to fit."""


def nearest(word: str, known: "list[str] | tuple[str, ...]") -> str:
    """Return `" (did you mean X?)"` for the known word closest to `word`, or an empty string.

    >>> nearest("sprasity", ["sparsity", "schedule"])
    " (did you mean 'sparsity'?)"
    >>> nearest("zzz", ["sparsity"])
    ''
    """
    close = get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
