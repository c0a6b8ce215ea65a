"""What people read, one subject a file."""
