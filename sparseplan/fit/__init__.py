"""Fit a law to finished runs: objective, solver, certificate, bootstrap, and what to think of the result.

Data flows one way: runs -> `coordinates` (normalised columns) -> `objective` (penalty, problem) -> `derivatives` (by
the terms `capacity` and `data`) -> `starts`, `solver` -> `fitting` (the best minimum) and its `certificate` ->
`bootstrap`, `holdout`, `compare`, `influence` -> `answer` (what to report) and `law_from_fit` (a law file).
`fit_table` does it all.
"""
