"""Sizes as they are shown everywhere: in powers of ten, as disks, registries and Docker count."""


def size(count: float) -> str:
    """`812 MB`, `2.1 GB`."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
