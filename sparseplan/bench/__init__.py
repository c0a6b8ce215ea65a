"""Measuring a device: what is measured, the process that measures, and the profile that comes of it."""
