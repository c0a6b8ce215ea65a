"""Fixtures of the training tests."""

import pytest

from sparseplan.runs.spec import DataSpec


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    """A prepared text, and torch on one thread."""
    torch = pytest.importorskip("torch")
    from tests.helpers.training import write_text

    torch.set_num_threads(1)
    return write_text(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    """Prepared images, and torch on one thread."""
    torch = pytest.importorskip("torch")
    from tests.helpers.training import write_images

    torch.set_num_threads(1)
    return write_images(tmp_path_factory.mktemp("images"))
