"""Fit a law to finished runs: objective, solver, certificate, bootstrap, and what to think of the result.

Data flows one way: runs -> `model` (normalised columns) -> `objective` -> `solver` -> `fitting` (many starts, the
certificate) -> `bootstrap`, `holdout`, `compare`, `influence` -> `tolaw` (a law file) and the report.
"""
