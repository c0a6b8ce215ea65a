"""Hardware profiles: what they hold, their files, and how they are measured."""
