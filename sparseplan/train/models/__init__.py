"""The models that are trained, one family a file."""
