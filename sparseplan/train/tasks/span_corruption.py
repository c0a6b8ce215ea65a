"""Restore spans that were cut out of a text.

Of every window of text 15 % are cut out in spans of 3 on average; `sparseplan.shapes.t5` has the counts. Window by
window the lengths of the spans, and of what lies between, are drawn uniformly among all ways to divide their totals;
what is kept comes first, a cut span last. Each span is one sentinel in the inputs, descending from the largest token;
the targets are the sentinels, each followed by what it hides. Both end in the end token.

    Thank you for inviting me to your party last   with 2, 4 kept and 2, 1 cut:
    inputs    Thank you <X> me to your party <Y> <end>
    targets   <X> for inviting <Y> last <end>

What is cut is decided by a hash, as masked tokens are: in training of the seed, of how many sequences came before and
of the place, in validation of the window and the place alone.

Source: Raffel et al. 2020, arXiv:1910.10683, section 3.1.4; t5/data/preprocessors.py: random_spans_noise_mask,
noise_span_to_unique_sentinel, nonnoise_span_to_unique_sentinel.

Shapes: B sequences, L tokens of a window, T of the inputs, U of the targets, R spans, V vocabulary.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.shapes.t5 import T5Shape
from sparseplan.train.data import splitmix64
from sparseplan.train.models.t5 import T5
from sparseplan.train.tasks.base import Batch, Task
from sparseplan.train.tasks.text import VALIDATION, Text

_SALT = 0x7370616E  # so that spans don't follow the hashes of the data's order

Places = NDArray[np.int64]


class Part(NamedTuple):
    """Inputs or targets without their end: places in the window, and the span whose sentinel stands there, else -1."""

    places: Places
    span: Places


class SpanCorruption(Task):
    """Batches are inputs `(B, T)`, and the targets `(B, U)` one place later and as they are.

    The loss is in nats per target token, sentinels and end among them, as in T5; no code length of the text.

    Args:
        run: The run, of a `T5Shape`.
        device: Where batches are wanted.

    Raises:
        SparseplanError: if the data are missing or unfit.
    """

    def __init__(self, run: RunSpec, device: torch.device) -> None:
        super().__init__(run)
        assert isinstance(run.shape, T5Shape)
        self._run, self._shape, self._device = run, run.shape, device
        self._text = Text(run, device)

    def batch(self, step: int) -> Batch:
        """The batch of the update that follows `step` others."""
        sequences = np.arange(step * self._run.batch, (step + 1) * self._run.batch, dtype=np.uint64)
        return self._cut(self._text.train.read(self._text.windows(step)), sequences, seed=self._run.seed)

    def validation(self) -> Iterator[Batch]:
        """The validation data, a batch at a time."""
        for windows in self._text.validation_windows():
            yield self._cut(self._text.valid.read(windows), windows.astype(np.uint64), seed=VALIDATION)

    def answers(self, model: T5, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits of the targets, and the targets."""
        inputs_BT, before_BU, targets_BU = batch
        return model(inputs_BT, before_BU), targets_BU

    def _cut(self, block: Tensor, sequences: NDArray[np.uint64], *, seed: int) -> Batch:
        """Cut spans out of some windows, one number each; the last token of a window is the next one's."""
        tokens_BL = block[:, :-1]
        inputs_BT, targets_BU = (
            self._tokens(tokens_BL, part) for part in cut(*draw_lengths(sequences, self._shape, seed=seed))
        )
        start = torch.full_like(targets_BU[:, :1], self._shape.start_token)
        return inputs_BT, torch.cat([start, targets_BU[:, :-1]], dim=1), targets_BU

    def _tokens(self, tokens_BL: Tensor, part: Part) -> Tensor:
        places, span = (torch.from_numpy(each).to(self._device, non_blocking=True) for each in part)
        text = tokens_BL.gather(1, places)
        end = torch.full_like(text[:, :1], self._shape.end_token)
        return torch.cat([torch.where(span < 0, text, self._shape.first_sentinel - span), end], dim=1)


def draw_lengths(sequences: NDArray[np.uint64], shape: T5Shape, *, seed: int) -> tuple[Places, Places]:
    """Lengths of what is kept and of what is cut, in turns, for some sequences by their numbers; both `(B, R)`."""
    window, noise, spans = shape.spans
    run_key = splitmix64(np.array([seed], dtype=np.uint64) ^ np.uint64(_SALT << 33))
    keys = splitmix64(sequences + run_key)
    return _divide(window - noise, spans, splitmix64(keys)), _divide(noise, spans, keys)


def _divide(total: int, parts: int, keys: NDArray[np.uint64]) -> Places:
    """Divide a total into parts of at least one, uniformly among all ways; a row a key."""
    hashes = splitmix64(np.arange(total - 1, dtype=np.uint64) + keys[:, None])
    ends = np.sort(np.argsort(hashes, axis=1, kind="stable")[:, : parts - 1], axis=1) + 1
    edges = np.pad(ends, ((0, 0), (1, 1)), constant_values=((0, 0), (0, total)))
    return np.diff(edges, axis=1).astype(np.int64)


def cut(kept: Places, noise: Places) -> tuple[Part, Part]:
    """Inputs and targets of windows that are, in turns, kept and cut for these lengths, both `(B, R)`.

    Every row has the same total of each.
    """
    B, R = kept.shape
    lengths = np.stack([kept, noise], axis=2).reshape(B, 2 * R)
    runs_BL = np.repeat(np.tile(np.arange(2 * R), B), lengths.ravel()).reshape(B, -1)
    starts = np.cumsum(lengths, axis=1) - lengths
    first_BL = np.arange(runs_BL.shape[1]) == np.take_along_axis(starts, runs_BL, axis=1)
    cut_BL, span_BL = runs_BL % 2 == 1, runs_BL // 2
    return _part(~cut_BL | first_BL, cut_BL, span_BL), _part(cut_BL | first_BL, ~cut_BL, span_BL)


def _part(shown_BL: NDArray[np.bool_], hidden_BL: NDArray[np.bool_], span_BL: Places) -> Part:
    places = np.nonzero(shown_BL)[1].reshape(len(shown_BL), -1)
    span = np.take_along_axis(np.where(hidden_BL, span_BL, -1), places, axis=1)
    return Part(places.astype(np.int64), span.astype(np.int64))
