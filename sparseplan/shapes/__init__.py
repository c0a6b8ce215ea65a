"""Shapes of the models that are trained, without torch, one model family a file."""
