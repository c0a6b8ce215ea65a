"""Run the command line as `python -m sparseplan`."""

from sparseplan.cli import main

if __name__ == "__main__":
    main()
