"""Characters that nobody sees and that do something: whatever is shown goes without them."""

import re
import unicodedata

# Controls, formats, bidi and joiners, line and paragraph separators, surrogates, blanks that are letters by name.
HIDDEN = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""For a regular expression's brackets."""
MARKS = (
    "".join(chr(code) for code in range(0x300, 0x2100) if unicodedata.category(chr(code)) in {"Mn", "Me"})
    + "\u302a-\u302d\u3099\u309a\ua66f-\ua672\ua674-\ua67d\ua69e\ua69f\ua8e0-\ua8f1\ufb1e\ufe00-\ufe0f\ufe20-\ufe2f"
    "\U00010a01-\U00010a0f\U00011001-\U00011046\U0001d165-\U0001d16f\U0001d185-\U0001d1ad\U0001e000-\U0001e02a"
)
"""Marks that are drawn on the character before them, for brackets as well."""
HEAPED = f"(?<=[{MARKS}]{{3}})[{MARKS}]+"
"""Marks on a character beyond three: no language needs more, and terminals draw them over the lines around."""

_NOT_PLAIN = re.compile(f"[{HIDDEN}]|{HEAPED}")


def plain(text: str) -> str:
    """Text of any origin as part of one line: nothing in it can move a cursor, start a line or hide."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in _NOT_PLAIN.sub("?", text))
