"""A calibration from recipe to law: prepare the data, plan the runs, drive the sweep, fit, and write what was found.

setup -> outlook (what to expect) or conduct (train) -> conclusion (runs.csv, law.yaml, README.md, figures).
"""
