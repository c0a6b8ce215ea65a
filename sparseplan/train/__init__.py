"""Training, the only place that imports torch; started as a process: `python -m sparseplan.train JOB.json`."""
