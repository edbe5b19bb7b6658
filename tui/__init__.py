"""The dashboard: a client of the runner that draws a board and asks for what the user wants."""

import os

# Textual reads this once, at import; 120 halves the wait for a key's echo and costs no CPU when nothing moves.
os.environ.setdefault("TEXTUAL_FPS", "120")
