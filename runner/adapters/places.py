"""Where everything of a project lies on disk, and which runner owns which sweep."""

import fcntl
import hashlib
import json
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from runner.model.refusal import UsageRefused

LOCK_TRIES = 10
NOTE_BYTES = 2048
LOCK_AGAIN_S = 0.02


class Places:
    """The folders of one project; `root` is where `.coopdeck/` stands."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @property
    def state(self) -> Path:
        return self.root / ".coopdeck"

    def sweep_dir(self, sweep: str) -> Path:
        return self.state / "sweeps" / sweep

    def ledger(self, sweep: str) -> Path:
        return self.sweep_dir(sweep) / "ledger.db"

    def lock(self, sweep: str) -> Path:
        return self.sweep_dir(sweep) / "lock"

    def evaluations(self, sweep: str) -> Path:
        """Where results are evaluated after their attempts: a folder a job, a lock, the tokens of all evaluations."""
        return self.sweep_dir(sweep) / "evaluations"

    def socket(self, sweep: str) -> Path:
        """Where the sweep's runner listens, or would if it were started here and now.

        A runner may have been started where XDG_RUNTIME_DIR was another, or none: by cron, by `su`, in a container.
        """
        # By a digest: the kernel allows 107 bytes for the path of a unix socket.
        name = hashlib.sha256(os.fsencode(self.sweep_dir(sweep))).hexdigest()[:20] + ".sock"
        noted = Path(str((self._note(sweep) or {}).get("socket", "")))
        # The note is in a folder that others may write to: it leads nowhere else than to a private folder's socket.
        if noted.is_absolute() and noted.name == name and _private(noted.parent):
            return noted
        return socket_folder() / name

    def sweeps(self) -> list[str]:
        """The names of all sweeps that have a ledger, the newest last."""
        folders = self.state / "sweeps"
        found: list[tuple[float, str]] = []
        if folders.is_dir():
            for folder in folders.iterdir():
                ledger = folder / "ledger.db"
                if ledger.is_file():
                    found.append((ledger.stat().st_mtime, folder.name))
        return [name for _, name in sorted(found)]

    def runner_pid(self, sweep: str) -> int | None:
        """The process that owns the sweep now, else None. The lock tells, not the file: a dead holder holds nothing."""
        note = self._note(sweep)
        if note is None:
            return None
        pid = note.get("pid")
        return pid if isinstance(pid, int) else 0

    def runner_trouble(self, sweep: str) -> str:
        """Why the sweep's runner cannot write its ledger now; empty when it can, and when there is no runner."""
        return str((self._note(sweep) or {}).get("trouble", ""))

    def _note(self, sweep: str) -> dict[str, object] | None:
        """What the runner that owns the sweep says in its lock; None when nobody owns it."""
        try:
            descriptor = os.open(self.lock(sweep), os.O_RDWR | os.O_CLOEXEC)
        except PermissionError:
            return _foreign(self.lock(sweep))
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _said(descriptor)
        finally:
            os.close(descriptor)
        return None


def absolute(root: Path, path: str) -> Path:
    """A path as a user writes it, who stands in `root`; a link stays one, and a `~` that means nobody stays too."""
    return Path(os.path.abspath(root / os.path.expanduser(path)))  # noqa: PTH100, PTH111 - a link stays one


class SweepLock:
    """Held by the runner that owns a sweep for as long as its process lives."""

    def __init__(self, path: Path, socket: Path | None = None) -> None:
        self._path = path
        self._socket = socket
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises UsageRefused, naming the holder, when another runner owns the sweep."""
        # Not through a link: the note in it would overwrite whatever the link names.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if not _taken(descriptor):
            holder = _said(descriptor).get("pid")
            os.close(descriptor)
            sweep, who = self._path.parent.name, f"pid {holder}" if holder else "another process"
            raise UsageRefused(
                f"the sweep '{sweep}' is owned by a runner already ({who}); watch it with: coopdeck attach {sweep}"
            )
        self._descriptor = descriptor
        self.note("")
        os.ftruncate(descriptor, NOTE_BYTES)

    @property
    def stands(self) -> bool:
        """Whether the file that is held is still the one that others would look at."""
        if self._descriptor is None:
            return False
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True  # who cannot look does not know
        held = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def note(self, trouble: str) -> None:
        """Tell others what troubles the runner now; this works on a full disk too, for the room is taken already."""
        if self._descriptor is None:
            return
        told = json.dumps(
            {"pid": os.getpid()}
            | ({"socket": str(self._socket)} if self._socket else {})
            | ({"trouble": trouble[:200]} if trouble else {})
        )
        with suppress(OSError):
            os.pwrite(self._descriptor, told.encode().ljust(NOTE_BYTES), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _said(descriptor: int) -> dict[str, object]:
    try:
        note = json.loads(os.pread(descriptor, 2 * NOTE_BYTES, 0))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _foreign(lock: Path) -> dict[str, object] | None:
    """Who holds the lock of another user, which we may not open: the kernel's own list tells (proc_locks(5))."""
    with suppress(OSError, ValueError, IndexError):
        found = lock.stat()
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1:4] != ["FLOCK", "ADVISORY", "WRITE"] or int(words[5].split(":")[2]) != found.st_ino:
                continue
            # Not the device: for some file systems stat(2) names another one.
            if Path("/proc", words[4]).stat().st_uid == found.st_uid:
                return {"pid": int(words[4])}
    return None


def _taken(descriptor: int) -> bool:
    # More than once: whoever looks for the holder has the lock for a moment, and a new holder writes its pid in one.
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_AGAIN_S)
        else:
            return True
    return False


def _private(folder: Path) -> bool:
    """Whether it is a folder, no link, of this user's and open to nobody else."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def socket_folder() -> Path:
    """The folder for sockets: this user's alone, made when it is missing.

    Raises:
        UsageRefused: something else stands there: a link, or a folder of another user or open to one.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) if runtime and Path(runtime).is_dir() else Path(tempfile.gettempdir())
    folder = base / ("coopdeck" if runtime and base == Path(runtime) else f"coopdeck-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise UsageRefused(f"the folder {folder} for coopdeck's sockets cannot be made: {error.strerror}") from None
    if not _private(folder):
        raise UsageRefused(
            f"{folder} is not a private folder of yours, so coopdeck will not put a socket there; "
            f"remove it, or set XDG_RUNTIME_DIR to a folder that only you can enter"
        )
    return folder
