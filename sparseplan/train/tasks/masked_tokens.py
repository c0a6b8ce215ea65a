"""Restore tokens that were hidden, from those around them.

Of every sequence 15 % of the places are chosen. Of the chosen tokens 80 % are shown as [MASK], 10 % as a random token
and 10 % as they are; the loss is the mean over the chosen places. Devlin et al. 2018, arXiv:1810.04805, section 3.1,
but with the same number of chosen places in every sequence, so that batches have one shape.

What is hidden is decided by a hash, as the order of the data is: in training of the seed, of how many sequences came
before and of the place, so that a text seen twice is hidden differently; in validation of window and place alone, so
that every run is asked the same.

Shapes: B sequences, T tokens, C chosen places of a sequence, V vocabulary.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparseplan.runs.spec import RunSpec
from sparseplan.shapes.bert import BertShape
from sparseplan.train.data import splitmix64
from sparseplan.train.models.bert import Bert
from sparseplan.train.tasks.base import Batch, Task
from sparseplan.train.tasks.text import VALIDATION, Text

MASKED, RANDOM = 0.8, 0.1
"""Shares of the chosen tokens that are shown as [MASK] and as a random token."""
_SALT = 0x6D61736B  # so that masks don't follow the hashes of the data's order


class MaskedTokens(Task):
    """Batches are tokens `(B, T)` as shown, chosen places and the tokens that stood there, both `(B, C)`.

    The loss is in nats per chosen token: no code length of the text, since the tokens around it are seen.

    Args:
        run: The run, of a `BertShape`.
        device: Where batches are wanted.

    Raises:
        SparseplanError: if the data are missing or unfit.
    """

    def __init__(self, run: RunSpec, device: torch.device) -> None:
        super().__init__(run)
        assert isinstance(run.shape, BertShape)
        self._run, self._shape, self._device = run, run.shape, device
        self._text = Text(run, device)

    def batch(self, step: int) -> Batch:
        """The batch of the update that follows `step` others."""
        sequences = np.arange(step * self._run.batch, (step + 1) * self._run.batch, dtype=np.uint64)
        return self._hidden(self._text.train.read(self._text.windows(step)), sequences, seed=self._run.seed)

    def validation(self) -> Iterator[Batch]:
        """The validation data, a batch at a time."""
        for windows in self._text.validation_windows():
            yield self._hidden(self._text.valid.read(windows), windows.astype(np.uint64), seed=VALIDATION)

    def answers(self, model: Bert, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits of the tokens at the chosen places, and those that stood there."""
        shown_BT, places_BC, targets_BC = batch
        return model(shown_BT, places_BC), targets_BC

    def _hidden(self, block: Tensor, sequences: NDArray[np.uint64], *, seed: int) -> Batch:
        """Hide what is chosen of some sequences, one number each; the last token of a window is the next one's."""
        shape = self._shape
        places, replacements = choose(sequences, shape, seed=seed)
        places_BC = torch.from_numpy(places).to(self._device, non_blocking=True)
        replacements_BC = torch.from_numpy(replacements).to(self._device, non_blocking=True)
        tokens_BT = block[:, :-1]
        targets_BC = tokens_BT.gather(1, places_BC)
        shown_BC = torch.where(replacements_BC < 0, targets_BC, replacements_BC)
        return tokens_BT.scatter(1, places_BC, shown_BC), places_BC, targets_BC


def choose(
    sequences: NDArray[np.uint64], shape: BertShape, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which places of some sequences are chosen, ascending, and what is shown there; both `(B, C)`.

    Args:
        sequences: A number for each sequence.
        shape: How many places a sequence has and are chosen, and what [MASK] is.
        seed: Another one chooses differently.

    Returns:
        The places, and for each the token that is shown instead, -1 where the token stays.
    """
    run_key = splitmix64(np.array([seed], dtype=np.uint64) ^ np.uint64(_SALT << 33))
    sequence_keys = splitmix64(sequences + run_key)
    hashes = splitmix64(np.arange(shape.context, dtype=np.uint64) + sequence_keys[:, None])
    places = np.sort(np.argsort(hashes, axis=1, kind="stable")[:, : shape.chosen_per_sequence], axis=1)
    # two further draws per chosen place: what happens to it, in [0, 1), and a token
    fate_hash = splitmix64(np.take_along_axis(hashes, places, axis=1))
    fate = (fate_hash >> np.uint64(11)).astype(np.float64) * 2.0**-53
    random_tokens = (splitmix64(fate_hash) % np.uint64(shape.vocab)).astype(np.int64)
    shown = np.where(fate < MASKED, shape.mask_token, np.where(fate < MASKED + RANDOM, random_tokens, -1))
    return places.astype(np.int64), shown.astype(np.int64)
