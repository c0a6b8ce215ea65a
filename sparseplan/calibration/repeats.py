"""Runs that repeat their data: each run of a grid again, on cuts of the corpus that it sees several times.

A cut takes pieces of the corpus in an order that a hash decides: it is drawn from all of the corpus, not from its first
documents, and a smaller cut is part of every larger one. A piece of text is some sequences long, so that few targets
stand where two pieces meet; a piece of images is one image. Every cut is a file of its own, whose hash names its runs.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparseplan.calibration.recipe import LoadedRecipe
from sparseplan.common.files import write_bytes
from sparseplan.errors import CorpusError
from sparseplan.runs.spec import RunSpec, Split
from sparseplan.shapes.base import Images, Inputs

_SEQUENCES = 16
"""Of a piece of text."""
_ANY_EPOCHS = 1e12


def with_repeats(loaded: LoadedRecipe, runs: Sequence[RunSpec], inputs: Inputs, folder: Path) -> list[RunSpec]:
    """Every run once for each entry of the recipe's `repeat`, in its order; 1 leaves a run as it is.

    Args:
        loaded: The recipe.
        runs: Those of its grid, on the whole corpus.
        inputs: Vocabulary, or what the images are.
        folder: Where cuts lie or are written.

    Raises:
        RecipeError: with the recipe's line, if a cut is larger than the corpus.
        CorpusError: if the corpus can't be read.
    """
    repeats = loaded.recipe.repeat
    if all(times == 1 for times in repeats):
        return list(runs)
    pieces = _Pieces(runs[0], inputs)
    cuts: dict[int, Split] = {}
    found: dict[str, RunSpec] = {}
    for run in runs:
        for index, times in enumerate(repeats):
            repeated = run
            if times != 1:
                entries = _entries(run, times)
                if entries > pieces.entries:
                    what = f"expected cuts within the corpus, of at most {pieces.entries} {run.data.unit}s"
                    raise loaded.refuse(("repeat", index), f"{what}, found one of {entries}; train shorter")
                if entries not in cuts:
                    cuts[entries] = pieces.written(entries, folder)
                repeated = _on(run, cuts[entries])
            found[repeated.run_id] = repeated
    return list(found.values())


def _entries(run: RunSpec, times: float) -> int:
    """Entries of the cut that a run sees so often: whole sequences, of text with the token that follows the last."""
    sequences = max(1, round(run.steps * run.batch / times))
    return sequences * run.shape.entries_per_sequence + (0 if run.data.unit == "image" else 1)


def _on(run: RunSpec, cut: Split) -> RunSpec:
    endless = msgspec.structs.replace(run.data, train=cut, max_epochs=_ANY_EPOCHS)
    repeated = msgspec.structs.replace(run, data=endless)
    allowed = max(run.data.max_epochs, repeated.epochs)
    return msgspec.structs.replace(repeated, data=msgspec.structs.replace(endless, max_epochs=allowed))


class _Pieces:
    """The corpus of a run, in pieces."""

    def __init__(self, run: RunSpec, inputs: Inputs) -> None:
        self._data = run.data
        images = isinstance(inputs, Images)
        self._piece = 1 if images else _SEQUENCES * run.shape.entries_per_sequence
        self._numbers = 1 + inputs.channels * inputs.side**2 if isinstance(inputs, Images) else 1
        self._count = run.data.train.tokens // self._piece
        self._order = sorted(range(self._count), key=_hash)

    @property
    def entries(self) -> int:
        """The most that a cut can have."""
        return self._count * self._piece

    def written(self, entries: int, folder: Path) -> Split:
        """The first entries, in the order of the pieces, as a file."""
        corpus, size = self._corpus(), self._piece * self._numbers
        chosen = self._order[: -(-entries // self._piece)]
        content = np.concatenate([corpus[at * size : (at + 1) * size] for at in chosen])[: entries * self._numbers]
        raw = content.astype(content.dtype.newbyteorder("<")).tobytes()
        sha256 = hashlib.sha256(raw).hexdigest()
        path = folder / f"cut-{sha256[:16]}.bin"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(path, raw)
        return Split(path=str(path), sha256=sha256, tokens=entries)

    def _corpus(self) -> NDArray[np.unsignedinteger[Any]]:
        """The numbers of the training data, flat."""
        train = self._data.train
        path, dtype = Path(train.path), np.dtype(self._data.dtype).newbyteorder("<")
        try:
            if path.suffix == ".npy":
                numbers: Any = np.load(path, mmap_mode="r", allow_pickle=False)
            else:
                numbers = np.memmap(path, dtype=dtype, mode="r")
        except (OSError, ValueError) as problem:
            raise CorpusError(f"{path}: can't read these tokens: {problem}.") from None
        return np.asarray(numbers[train.start * self._numbers : (train.start + train.tokens) * self._numbers])


def _hash(piece: int) -> bytes:
    return hashlib.blake2b(piece.to_bytes(8, "little"), digest_size=8).digest()
