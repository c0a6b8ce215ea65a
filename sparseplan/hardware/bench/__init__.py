"""Measuring a device: what to time, in which process, and what is kept when it is interrupted."""
