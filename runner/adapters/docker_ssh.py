"""The way to a Docker Engine behind ssh: a unix socket of our own that leads there, as the `docker` program does it.

The SDK's own way needs paramiko; this one has the user's ssh configuration and agent, and asks for nothing.
"""

import atexit
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

END_S = 5.0


class SshBridge:
    """A folder, a listener, a thread and an ssh a connection, until it is closed: at the latest when the program ends.

    Raises:
        OSError: no socket can be made.
    """

    def __init__(self, host: str, environment: Mapping[str, str], answer_s: float) -> None:
        user_host, _, port = host.removeprefix("ssh://").partition(":")
        port = port.partition("/")[0]
        argv = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={answer_s:.0f}", "-T"]
        argv += [*(["-p", port] if port else []), "--", user_host.rstrip("/"), "docker", "system", "dial-stdio"]
        self._argv, self._environment = argv, environment
        self._calls: list[subprocess.Popen[bytes]] = []
        self._folder = Path(tempfile.mkdtemp(prefix="coopdeck-ssh-"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._serve, name="docker over ssh", daemon=True)
        atexit.register(self.close)
        try:
            self._listener.bind(str(self._folder / "engine.sock"))
            self._listener.listen()
            self._thread.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"unix://{self._folder}/engine.sock"

    def close(self) -> None:
        """May be called again."""
        atexit.unregister(self.close)
        with suppress(OSError):
            # Closing alone would leave the thread waiting in accept().
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(END_S)
        self._listener.close()
        for call in self._calls:
            call.kill()
            call.wait()
        self._calls.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self._calls = [call for call in self._calls if call.poll() is None]
            with accepted, suppress(OSError):
                ends = accepted.fileno()
                self._calls.append(
                    subprocess.Popen(
                        self._argv, env=self._environment, stdin=ends, stdout=ends, stderr=subprocess.DEVNULL
                    )
                )
