"""The strategies that prune, one a file."""
