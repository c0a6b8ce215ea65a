"""The authors' runs of arXiv:2309.08520, from beside the project; tests that need them skip where they are missing."""

import pytest

from sparseplan.runs.published import FOLDER_VARIABLE, T5_FILE, published_folder

FOLDER = published_folder()
needs_paper_runs = pytest.mark.skipif(
    not (FOLDER / T5_FILE).exists(),
    reason=f"the authors' runs aren't at {FOLDER}; set {FOLDER_VARIABLE} to the folder that holds frantar2023/",
)
