"""What starts workers, one place to run them a file."""
