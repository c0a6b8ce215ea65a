"""What is pruned and when: patterns and ramps."""
