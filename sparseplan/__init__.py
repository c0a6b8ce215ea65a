"""sparseplan: the compute planner for sparse pretraining."""

__version__ = "0.1.0"
