"""What can be done with law files besides planning: check, compare, compose."""
