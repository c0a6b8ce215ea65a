"""Every picture; matplotlib is imported on use, so that nothing else waits for it."""
