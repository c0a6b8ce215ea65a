"""Fixtures of sweeps on fake trainings."""

from pathlib import Path

import pytest

from tests.helpers.sweeps import environment


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for faults, with the fake trainer on the workers' path."""
    faults = tmp_path / "faults"
    faults.mkdir()
    for name, value in environment(faults).items():
        monkeypatch.setenv(name, value)
    return faults
