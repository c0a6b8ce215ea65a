"""The process that measures a device: `python -m sparseplan.train.bench`, spoken to as `sparseplan.bench.job` says."""
