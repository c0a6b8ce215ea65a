"""Claims about image corpora: the digits, idx files, and what is said of what can't be read."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from sparseplan.calibration.corpus import prepare
from sparseplan.calibration.images import ImageCorpus
from sparseplan.errors import CorpusError
from sparseplan.runs.spec import Split
from sparseplan.shapes.base import Images


def entries(split: Split, values: int) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    return np.fromfile(split.path, dtype=np.uint8).reshape(split.tokens, 1 + values)


def idx(content: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    head = bytes((0, 0, 8, content.ndim)) + b"".join(size.to_bytes(4, "big") for size in content.shape)
    return head + content.tobytes()


def write_idx(folder: Path, *, packed: bool = True) -> dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"]:
    """A data set of 30 and 10 images of 4 x 4, in MNIST's files."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 30), ("t10k", 10)):
        parts[f"{part}-images-idx3-ubyte"] = generator.integers(256, size=(count, 4, 4)).astype(np.uint8)
        parts[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 3).astype(np.uint8)
    for name, content in parts.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(content)))
        else:
            (folder / name).write_bytes(idx(content))
    return parts


def test_the_digits_are_all_there_once_split_by_content(tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    data, inputs, description = prepare(ImageCorpus(), tmp_path, max_epochs=9)
    assert inputs == Images(side=8, channels=1, classes=10)
    assert (data.unit, data.max_epochs) == ("image", 9)
    train, valid = entries(data.train, 64), entries(data.valid, 64)
    assert len(train) + len(valid) == 1797
    assert 0.17 < len(valid) / 1797 < 0.23
    assert description == f"scikit-learn's digits, {len(train)} + {len(valid)} images of 8 x 8 in 10 classes"
    assert not {row.tobytes() for row in train} & {row.tobytes() for row in valid}
    found = datasets.load_digits()
    both = np.concatenate([train, valid])
    assert np.bincount(both[:, 0]).tolist() == np.bincount(found.target).tolist()
    assert both[:, 1:].max() == 255
    # 16 levels of grey, as the package has them
    whole = {row.tobytes() for row in np.round(found.data * 255 / 16).astype(np.uint8)}
    assert {row[1:].tobytes() for row in both} == whole
    assert prepare(ImageCorpus(), tmp_path, max_epochs=9).data == data


@pytest.mark.parametrize("packed", [True, False], ids=["gz", "plain"])
def test_a_folder_of_idx_files_is_read_as_it_is_split(tmp_path: Path, packed: bool) -> None:
    parts = write_idx(tmp_path / "shapes", packed=packed)
    data, inputs, description = prepare(ImageCorpus(folder=str(tmp_path / "shapes")), tmp_path / "out")
    assert inputs == Images(side=4, channels=1, classes=3)
    assert description == "shapes, 30 + 10 images of 4 x 4 in 3 classes"
    valid = entries(data.valid, 16)
    assert np.array_equal(valid[:, 0], parts["t10k-labels-idx1-ubyte"])
    assert np.array_equal(valid[:, 1:], parts["t10k-images-idx3-ubyte"].reshape(10, 16))


def test_a_missing_package_of_images_is_one_sentence_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as found:
        prepare(ImageCorpus(folder=str(tmp_path / "none")), tmp_path / "out")
    assert str(found.value) == (
        f"{tmp_path}/none: expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz, found neither. "
        "Debian's package dataset-fashion-mnist puts Fashion-MNIST into /usr/share/datasets/fashion-mnist."
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"\0\0\x0d\x03" + bytes(12), "an idx file of unsigned bytes with 3 axes"),
        ("train-images-idx3-ubyte", b"", "an idx file of unsigned bytes with 3 axes"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((10, 4, 4), np.uint8))[:-1], "10 x 4 x 4 numbers, found 159"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((10, 4, 5), np.uint8)), "square images of one size, found 4 x 5"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((10, 5, 5), np.uint8)), "square images of one size, found 5 x 5"),
        ("t10k-labels-idx1-ubyte", idx(np.zeros(9, np.uint8)), "a label per image, found 9 of 10"),
    ],
)
def test_a_broken_idx_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    write_idx(tmp_path / "shapes", packed=False)
    (tmp_path / "shapes" / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        prepare(ImageCorpus(folder=str(tmp_path / "shapes")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_archive_is_an_error_of_the_data(tmp_path: Path) -> None:
    write_idx(tmp_path / "shapes")
    path = tmp_path / "shapes" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorpusError, match="can't read these images"):
        prepare(ImageCorpus(folder=str(tmp_path / "shapes")), tmp_path / "out")
