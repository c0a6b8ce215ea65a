"""Shapes of the models that are trained, without torch, one model family per file; `families` lists them.

`real` counts models that others trained, by their configs.
"""
