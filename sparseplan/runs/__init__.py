"""Runs: their specification before, their records and tables after."""
