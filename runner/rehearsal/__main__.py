"""`python -m runner.rehearsal`."""

from runner.rehearsal.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
