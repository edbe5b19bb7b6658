"""Asking the user for a yes, where there is one to ask."""

import sys


def at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def asked(question: str) -> bool:
    """Whether the user says yes; nobody at the terminal says no."""
    if not at_terminal():
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print()
        return False
