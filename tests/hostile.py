"""Output that tries to act on the terminal: whole, cut at every byte, and bent into everything that is shown."""

SEQUENCES: dict[str, bytes] = {
    "clipboard": b"\x1b]52;c;ZXZpbA==\x07",
    "clipboard, C1 8-bit": b"\x9d52;c;ZXZpbA==\x9c",
    "clipboard, C1 UTF-8": "\x9d52;c;ZXZpbA==\x9c".encode(),
    "title": b"\x1b]0;stolen title\x07\x1b]2;stolen title\x1b\\",
    "title stack": b"\x1b[22;0t\x1b[23;0t\x1b[21t",
    "colours of the terminal": b"\x1b]4;1;rgb:00/00/00\x07\x1b]10;?\x07\x1b]11;#000000\x1b\\\x1b]104\x07",
    "link": b"\x1b]8;id=1;file:///etc/passwd\x1b\\look\x1b]8;;\x1b\\",
    "picture": b"\x1b]1337;File=inline=1:AAAA\x07\x1b_Gf=24,s=1,v=1;AAAA\x1b\\\x1bPq#0;2;0;0;0#0~~\x1b\\",
    "notice": b"\x1b]9;evil\x07\x1b]777;notify;a;b\x07",
    "DCS": b'\x1bP$q"p\x1b\\\x1bP+q544e\x1b\\\x90+q544e\x9c',
    "APC, PM, SOS": b"\x1b_evil\x1b\\\x1b^evil\x1b\\\x1bXevil\x1b\\\x9fevil\x9c\x9eevil\x9c\x98evil\x9c",
    "cursor": b"\x1b[H\x1b[2J\x1b[3J\x1b[99;99H\x1b[5A\x1b[5B\x1b[s\x1b[u\x1b7\x1b8\x1bM\x1bD\x1bE\x1b[1;5r\x9b2J",
    "erase and scroll": b"\x1b[K\x1b[1K\x1b[P\x1b[9@\x1b[9L\x1b[9M\x1b[9S\x1b[9T\x1b[9X\x1b[9b",
    "modes": b"\x1b[?1049h\x1b[?25h\x1b[?1000h\x1b[?2004l\x1b[?7h\x1b[4h\x1b[20h\x1b[?1049l\x1b[!p\x1bc\x1b=\x1b>",
    "reports": b"\x1b[c\x1b[>c\x1b[6n\x1b[?6n\x1b[x\x1b[>q\x1b[14t\x1bZ\x05",
    "charsets": b"\x1b(0lqqk\x1b(B\x0elqqk\x0f\x1b#8\x1b%G\x1bN\x1bO\x8e\x8f",
    "colours": b"\x1b[31mred\x1b[38;5;200mpink\x1b[48;2;1;2;3mdark\x1b[8mhidden\x1b[0m",
    "odd colours": b"\x1b[38;5;999m\x1b[38;2;1m\x1b[99999999999m\x1b[;;;;m\x1b[38:2::1:2:3m\x1b[1;31;m\x1b[?31m",
    "endless parameters": b"\x1b[" + b"1;" * 200 + b"m" + b"\x1b]" + b"x" * 300,
    "bidi": "\u202eevil\u202c \u2066evil\u2069 \u200fevil\u200e \u061c".encode(),
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\u034fh\u180ei\u115fj\u3164k\uffa0l\u2800m".encode(),
    "tags and variations": "\U000e0041\U000e007f\ufe0f\U000e0100\U0001f469\u200d\U0001f4bb".encode(),
    "lines of Unicode": "one\u2028two\u2029three\x85four\x0bfive\x0csix".encode(),
    "markup": b"[red]no[/red] [@click=app.quit]x[/] [link=file:///etc]y[/link] [on green]z [/not] \\[esc] $text @{x}",
    "overwrite": b"secret\rshown\b\b\b\b\bhidden\x7f\x7f",
    "long combining": b"a" + "\u0301\u0489\u20dd".encode() * 300,
    "wide": "\u4f60\u597d\U0001f600\U0001f1e9\U0001f1ea".encode() * 20,
    "broken UTF-8": b"\xff\xfe\xc0\x80\xe2\x28\xa1\xed\xa0\x80\xf8\x88\x80\x80\x80 \xe2\x80",
    "NUL": b"\x00\x00nul\x00\x07\x07bell",
    "tabs": b"\t\ta\tb" + b"\t" * 40,
}
LINE = b" ".join(SEQUENCES.values())


def corpus() -> bytes:
    """Each sequence whole, and in two lines cut at every byte; then at the bounds at which readers cut."""
    parts = [LINE]
    for sequence in SEQUENCES.values():
        parts += [sequence, *(part for cut in range(1, min(len(sequence), 64)) for part in _cut(sequence, cut))]
    for bound in (300, 4096, 8192):
        parts += [b"x" * (bound - back) + sequence for back in (1, 2, 3) for sequence in list(SEQUENCES.values())[:8]]
    return b"\n".join(parts) + b"\n"


def _cut(sequence: bytes, at: int) -> tuple[bytes, bytes]:
    return sequence[:at], sequence[at:]


def text() -> str:
    """All of it in one text, as it comes out of a JSON file; half of what UTF-8 cannot hold stays as it is."""
    return LINE.decode("utf-8", "replace") + LINE.decode("latin-1") + "\ud800"
