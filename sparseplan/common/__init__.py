"""What every room uses: units, files, console, lookup by name, YAML with line numbers."""
