"""How Python processes of ours are started."""

import sys


def python(*words: str) -> list[str]:
    """The command of a Python process that imports nothing from the folder it is started in.

    Without -P, `python -m` and `python -c` look there first, and a stray `torch.py` or `json.py` in somebody's folder
    would run. PYTHONPATH and installed packages are found as ever.

    >>> python("-m", "sparseplan.train", "job.json")[1:]
    ['-P', '-m', 'sparseplan.train', 'job.json']
    """
    return [sys.executable, "-P", *words]
