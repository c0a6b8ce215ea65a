"""Batches from files of tokens or images: memory-mapped, on the device where they fit, in an order that a hash decides.

An epoch visits every image, or every window of `context` tokens, once. Which one comes when depends on seed and
sequence number alone, so runs of any length see the same data in the same order, and a resumed or branched run needs no
state to go on.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseplan.errors import SparseplanError
from sparseplan.runs.spec import Split

DEVICE_SHARE = 0.25
"""Largest share of a GPU's free memory that tokens may take."""
_SIGNED: dict[str, type[np.generic]] = {"uint8": np.uint8, "uint16": np.int16, "uint32": np.int32}
_CHECK_TOKENS = 2**24


class Windows:
    """The windows of one split: `context` tokens each, read with the one that follows.

    Args:
        split: Where the tokens are.
        dtype: How they are stored.
        context: Tokens of a window.
        device: Where batches are wanted.

    Raises:
        SparseplanError: if the file is missing, too short, changed, or holds tokens outside the vocabulary.
    """

    def __init__(self, split: Split, *, dtype: str, context: int, vocab: int, device: torch.device) -> None:
        tokens = open_tokens(split, dtype=dtype, vocab=vocab)
        self.count = (len(tokens) - 1) // context
        if self.count < 1:
            raise SparseplanError(f"{split.path}: expected more than {context} tokens, found {len(tokens)}.")
        self._context, self._device = context, device
        # torch has few operations on uint16 and uint32: the bits are read as signed and the sign masked away
        stored = torch.from_numpy(tokens.view(_SIGNED[dtype]))
        self._mask = int(np.iinfo(dtype).max)
        self._tokens = _kept_on(device, stored)
        self._offsets = torch.arange(context + 1, device=stored.device)

    def read(self, windows: NDArray[np.int64]) -> Tensor:
        """The tokens of some windows and one more each, int64 `(len(windows), context + 1)` on the device."""
        starts = torch.from_numpy(windows * self._context).to(self._tokens.device, non_blocking=True)
        block = self._tokens[starts[:, None] + self._offsets].long() & self._mask
        return block.to(self._device, non_blocking=True)


class Pictures:
    """The images of one split, square, each stored as a byte for its class and one for every value.

    Args:
        split: Where they are.
        values: Of an image.
        classes: How many there are.
        device: Where batches are wanted.

    Raises:
        SparseplanError: if the file is missing, too short, changed, or holds classes beyond `classes`.
    """

    def __init__(self, split: Split, *, values: int, classes: int, device: torch.device) -> None:
        rows = open_tokens(split, dtype="uint8", entry=1 + values).reshape(split.tokens, 1 + values)
        largest = int(rows[:, 0].max())
        if largest >= classes:
            raise SparseplanError(f"{split.path}: expected classes below {classes}, found {largest}.")
        self.count, self._device = len(rows), device
        self._rows = _kept_on(device, torch.from_numpy(rows))

    def read(self, images: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Some images, their values from -1 to 1, float32 `(B, values)`, and their classes, int64 `(B,)`."""
        chosen = torch.from_numpy(images).to(self._rows.device, non_blocking=True)
        rows = self._rows[chosen].to(self._device, non_blocking=True)
        return rows[:, 1:].float() / 127.5 - 1.0, rows[:, 0].long()


def _kept_on(device: torch.device, stored: Tensor) -> Tensor:
    """Data on a GPU where they take little of it, else where they are."""
    if device.type == "cuda" and stored.nbytes <= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return stored.to(device)
    return stored


class Order:
    """Which window or image is the i-th of a training: a fresh permutation every epoch.

    A permutation sorts the windows by a hash of seed, epoch and window, so it is the same under every library version.
    """

    def __init__(self, count: int, *, seed: int) -> None:
        self._count, self._seed = count, seed
        self._epoch, self._windows = -1, np.empty(0, dtype=np.int64)

    def windows(self, first: int, number: int) -> NDArray[np.int64]:
        """The windows of the sequences `first` to `first + number`, counted from the start of training."""
        chosen = np.empty(number, dtype=np.int64)
        done = 0
        while done < number:
            epoch, place = divmod(first + done, self._count)
            self._turn_to(epoch)
            take = min(number - done, self._count - place)
            chosen[done : done + take] = self._windows[place : place + take]
            done += take
        return chosen

    def _turn_to(self, epoch: int) -> None:
        if epoch != self._epoch:
            key = splitmix64(splitmix64(np.array([self._seed], dtype=np.uint64)) + np.uint64(epoch))
            hashes = splitmix64(np.arange(self._count, dtype=np.uint64) + key)
            self._windows = np.argsort(hashes, kind="stable").astype(np.int64)
            self._epoch = epoch


def splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers, one to one. Source: Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195."""
    with np.errstate(over="ignore"):
        z = x + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def validation_windows(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` windows spread evenly over `count`, or all of them where there are fewer."""
    number = min(count, wanted)
    return np.arange(number, dtype=np.int64) * count // number


def open_tokens(split: Split, *, dtype: str, vocab: int | None = None, entry: int = 1) -> NDArray[np.generic]:
    """Map a split's entries into memory, after checking the file's hash and the tokens' range.

    Args:
        split: Where they are.
        dtype: How they are stored.
        vocab: Tokens of the vocabulary; None leaves their range unchecked.
        entry: Numbers of an entry, one after the other.

    Raises:
        SparseplanError: if the file can't be read, isn't the one that the specification names, or doesn't fit it.
    """
    path = Path(split.path)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        tokens: NDArray[np.generic] = (
            np.load(path, mmap_mode="c", allow_pickle=False)
            if path.suffix == ".npy"
            else np.memmap(path, dtype=np.dtype(dtype).newbyteorder("<"), mode="c")
        )
    except (OSError, ValueError) as problem:
        raise SparseplanError(f"{path}: can't read these tokens: {problem}.") from None
    if found != split.sha256:
        raise SparseplanError(
            f"{path}: expected the file with sha256 {split.sha256[:12]}..., found {found[:12]}...; "
            "the data changed since this run was specified."
        )
    start, stop = split.start * entry, (split.start + split.tokens) * entry
    if tokens.ndim != 1 or tokens.dtype != np.dtype(dtype) or len(tokens) < stop:
        raise SparseplanError(
            f"{path}: expected at least {stop} {'tokens' if entry == 1 else 'numbers'} of {dtype}, "
            f"found an array of {tokens.dtype}, {' x '.join(map(str, tokens.shape))}."
        )
    tokens = tokens[start:stop]
    if vocab is None:
        return tokens
    largest = max(int(tokens[at : at + _CHECK_TOKENS].max()) for at in range(0, len(tokens), _CHECK_TOKENS))
    if largest >= vocab:
        raise SparseplanError(f"{path}: expected tokens below the vocabulary's {vocab}, found {largest}.")
    return tokens
