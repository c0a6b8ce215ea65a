"""A calibration from recipe to law: prepare the data, plan the runs, drive the sweep, fit, and write what was found.

setup -> dry_run (what to expect) or train_runs -> fit_runs -> write_up (runs.csv, law.yaml, README.md, figures).
"""
