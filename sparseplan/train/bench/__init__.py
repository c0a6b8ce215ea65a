"""The process that measures a device: `python -m sparseplan.train.bench`.

It is spoken to as `sparseplan.hardware.bench.protocol` says.
"""
