"""From images to the files that a training reads: a byte for the class and one for every value, image by image.

Two sources are known: scikit-learn's digits, which come with the package and are split by a hash of each image, and
folders of idx files as MNIST has them, which are split already.
"""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from sparseplan.common.files import read_regular, write_bytes
from sparseplan.errors import CorpusError
from sparseplan.runs.spec import DataSpec, Split
from sparseplan.shapes.base import Images

FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
_HOW_TO_GET = f"Debian's package dataset-fashion-mnist puts Fashion-MNIST into {FASHION_MNIST}"
_DIGITS_MAX = 16  # the largest value of a pixel of the digits
_UNSIGNED_BYTES = 0x08

Bytes = NDArray[np.uint8]


class ImageCorpus(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="images"):
    """Images with classes.

    Attributes:
        folder: A folder of idx files, plain or .gz, named as those of MNIST; none stands for scikit-learn's digits.
        valid_share: Share of the digits that is kept for validation; a folder has images for that.
    """

    folder: str | None = None
    valid_share: Annotated[float, Meta(gt=0, lt=1)] = 0.2


class _Labelled(NamedTuple):
    """Images `(n, side, side)` and their classes `(n,)`."""

    images: Bytes
    classes: Bytes

    @property
    def entries(self) -> Bytes:
        """A row an image: its class, then its values."""
        return np.concatenate([self.classes[:, None], self.images.reshape(len(self.images), -1)], axis=1)


def prepare_images(corpus: ImageCorpus, folder: Path) -> tuple[DataSpec, Images, str]:
    """The data of some images, written below `folder` where they aren't there yet; what they are, and that in words.

    Raises:
        CorpusError: if they can't be read, or scikit-learn is missing.
    """
    train, valid = _digits(corpus.valid_share) if corpus.folder is None else _idx_folder(Path(corpus.folder))
    name = "scikit-learn's digits" if corpus.folder is None else Path(corpus.folder).name
    side, classes = train.images.shape[1], int(max(train.classes.max(), valid.classes.max())) + 1
    splits = [_written(folder, part.entries) for part in (train, valid)]
    data = DataSpec(train=splits[0], valid=splits[1], dtype="uint8", unit="image")
    sizes = f"{len(train.images)} + {len(valid.images)} images of {side} x {side} in {classes} classes"
    return data, Images(side=side, channels=1, classes=classes), f"{name}, {sizes}"


def _written(folder: Path, entries: Bytes) -> Split:
    content = entries.tobytes()
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / f"images-{sha256[:16]}.bin"
    if not path.exists() or read_regular(path) != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    return Split(path=str(path), sha256=sha256, tokens=len(entries))


def _digits(valid_share: float) -> tuple[_Labelled, _Labelled]:
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415  an extra
    except ImportError:
        raise CorpusError(
            "the digits come with scikit-learn: pip install 'sparseplan[images]', or give a folder of idx files."
        ) from None
    found = load_digits()
    images = np.round(found.images * (255 / _DIGITS_MAX)).astype(np.uint8)
    classes = found.target.astype(np.uint8)
    # by content, as documents are: equal images are never in both
    hashes = [int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "big") for image in images]
    held = np.array([each < valid_share * 2**64 for each in hashes])
    if held.all() or not held.any():
        raise CorpusError(f"expected digits for training and for validation; change valid_share from {valid_share:g}.")
    return _Labelled(images[~held], classes[~held]), _Labelled(images[held], classes[held])


def _idx_folder(folder: Path) -> tuple[_Labelled, _Labelled]:
    train, valid = (
        _Labelled(
            _idx(folder / f"{part}-images-idx3-ubyte", axes=3), _idx(folder / f"{part}-labels-idx1-ubyte", axes=1)
        )
        for part in ("train", "t10k")
    )
    for part in (train, valid):
        if len(part.images) != len(part.classes) or not len(part.images):
            raise CorpusError(f"{folder}: expected a label per image, found {len(part.classes)} of {len(part.images)}.")
        if part.images.shape[1:] != (train.images.shape[1],) * 2:
            shape = " x ".join(map(str, part.images.shape[1:]))
            raise CorpusError(f"{folder}: expected square images of one size, found {shape}.")
    return train, valid


def _idx(path: Path, *, axes: int) -> Bytes:
    """The numbers of an idx file of unsigned bytes: 0, 0, type, axes, each axis as 4 bytes, then the numbers.

    Source: LeCun, Cortes & Burges, the MNIST database, "file formats".
    """
    packed = path.with_name(path.name + ".gz")
    try:
        content = gzip.decompress(read_regular(packed)) if packed.exists() else read_regular(path)
    except FileNotFoundError:
        raise CorpusError(
            f"{path.parent}: expected {path.name} or {packed.name}, found neither. {_HOW_TO_GET}."
        ) from None
    except (OSError, EOFError, zlib.error) as problem:
        raise CorpusError(f"{path}: can't read these images: {problem}.") from None
    head = 4 + 4 * axes
    if len(content) < head or content[:4] != bytes((0, 0, _UNSIGNED_BYTES, axes)):
        raise CorpusError(f"{path}: expected an idx file of unsigned bytes with {axes} axes, found {content[:4]!r}.")
    shape = tuple(int(size) for size in np.frombuffer(content, dtype=">u4", count=axes, offset=4))
    if len(content) - head != int(np.prod(shape, dtype=np.float64)):
        sizes = " x ".join(map(str, shape))
        raise CorpusError(f"{path}: expected {sizes} numbers, found {len(content) - head}.")
    return np.frombuffer(content, dtype=np.uint8, offset=head).reshape(shape)
