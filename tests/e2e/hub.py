"""A Docker Hub on loopback: Debian's docker-registry behind a gate that cuts and corrupts, and an engine.

The engine is a second dockerd with folders, socket and pid file of its own. The gate is its registry mirror; what the
engine then asks of Docker Hub itself comes to the gate too, through a proxy and a certificate made for the purpose.
"""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

HUB_HOST = "registry-1.docker.io"
MEDIA = "application/vnd.docker.distribution.manifest.v2+json"
UP_S = 120.0


def need_programs() -> None:
    """Skip, with the reason, where this machine lacks what the hub is made of."""
    missing = [name for name in ("docker-registry", "dockerd", "openssl", "ip") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not in PATH (Debian: docker-registry, docker.io, openssl, iproute2)")
    if os.geteuid() != 0:
        pytest.skip("a second dockerd needs root")


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who is pulled from may hang up at any time."""


class Gate:
    """Forwards to the registry, and misbehaves as it is told to; knows how many bytes of blobs it has served."""

    def __init__(self, registry: str, folder: Path) -> None:
        self.cut_after: int | None = None
        """Bytes of a blob after which the connection is cut, `cuts` times."""
        self.cuts = 0
        self.limited = False
        """Answer 429 to every question for a manifest."""
        self.corrupt = False
        self.rate: float | None = None
        """Bytes a second, of each blob."""
        self.served = 0
        self.asked: list[str] = []
        self._turn = threading.Lock()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate = _certificate(folder)
        self._context.load_cert_chain(self.certificate, folder / "key.pem")
        self._server = _QuietServer(("127.0.0.1", 0), self._handler(registry))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def behave(self) -> None:
        self.cut_after, self.cuts, self.limited, self.corrupt, self.rate = None, 0, False, False, None
        self.asked.clear()
        self.served = 0

    def count(self, served: int) -> None:
        with self._turn:
            self.served += served

    def cut_here(self, sent: int) -> bool:
        with self._turn:
            if self.cut_after is None or sent < self.cut_after or not self.cuts:
                return False
            self.cuts -= 1
            return True

    def _handler(gate, registry: str) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None: ...

            def do_CONNECT(self) -> None:
                """What is meant for Docker Hub stays here."""
                self.send_response(200)
                self.end_headers()
                try:
                    self.connection = gate._context.wrap_socket(self.connection, server_side=True)
                except (OSError, ssl.SSLError):
                    self.close_connection = True
                    return
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", buffering=0)
                self.close_connection = False

            def finish(self) -> None:
                with suppress(OSError):
                    super().finish()
                with suppress(OSError):
                    self.connection.close()

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                gate.asked.append(self.path)
                if "/manifests/" in self.path and gate.limited:
                    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}'
                    self._say(429, {"Content-Type": "application/json", "Retry-After": "60"}, body)
                    return
                kept = {name: value for name in ("Accept", "Range") if (value := self.headers.get(name))}
                request = urllib.request.Request(registry + self.path, headers=kept, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        self._say(answer.status, dict(answer.headers), answer.read())
                except urllib.error.HTTPError as error:
                    self._say(error.code, dict(error.headers), error.read())

            def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
                blob = "/blobs/" in self.path
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in {"connection", "transfer-encoding", "date", "server", "content-length"}:
                        self.send_header(name, value)
                length = headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if blob and gate.corrupt and len(body) > 10_000:
                    body = body[:5000] + bytes(byte ^ 0xFF for byte in body[5000:5010]) + body[5010:]
                # Slow or fast, a part is soon through: who is told to stop is seen to stop.
                step, sent = 65536 if gate.rate is None else 8192, 0
                while sent < len(body):
                    if blob and gate.cut_here(sent):
                        with suppress(OSError):
                            self.connection.shutdown(socket.SHUT_RDWR)
                        self.close_connection = True
                        return
                    part = body[sent : sent + step]
                    self.wfile.write(part)
                    sent += len(part)
                    if blob:
                        gate.count(len(part))
                        if gate.rate is not None:
                            time.sleep(len(part) / gate.rate)

        return Handler


class Hub:
    """The registry, its gate, and the engine that asks it."""

    def __init__(self, folder: Path, driver: str) -> None:
        self.folder = folder
        self.sizes: dict[str, int] = {}
        """Of images, over the network."""
        self._processes: list[subprocess.Popen[bytes]] = []
        port = free_port()
        self._registry = f"http://127.0.0.1:{port}"
        (folder / "registry.yml").write_text(
            f'version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: "{folder}/registry"}}}}\n'
            f'http: {{addr: "127.0.0.1:{port}"}}\n'
        )
        self.gate = Gate(self._registry, folder)
        self.host = f"unix://{folder}/docker.sock"
        self.env = {"DOCKER_HOST": self.host}
        self._driver = driver
        # Its own: with --bridge=none a dockerd removes docker0, which is the other engine's.
        self._bridge = f"cdhub{os.getpid() % 100_000}"

    def start(self) -> None:
        """Raises RuntimeError when a part of it does not come up."""
        folder = self.folder
        self._start("registry", ["docker-registry", "serve", str(folder / "registry.yml")], {})
        _until(lambda: _answers(f"{self._registry}/v2/"), "docker-registry")
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
            _ip("addr", "add", f"10.251.{os.getpid() % 250}.1/24", "dev", self._bridge)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"no bridge for a second dockerd: {error.stderr.strip()}") from None
        self._start(
            "dockerd",
            [
                "dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
                "--pidfile", f"{folder}/dockerd.pid", "--host", self.host, "--iptables=false", "--ip6tables=false",
                "--ip-forward=false", "--ip-masq=false", "--bridge", self._bridge,
                "--registry-mirror", self.gate.url, "--max-download-attempts=1",
                "--storage-driver", self._driver,
            ],
            {"HTTPS_PROXY": self.gate.url, "NO_PROXY": "127.0.0.1", "SSL_CERT_FILE": str(self.gate.certificate)},
        )  # fmt: skip
        _until(lambda: self.docker("version", check=False).returncode == 0, f"dockerd ({folder}/dockerd.log)")

    def _start(self, name: str, argv: list[str], more: dict[str, str]) -> None:
        with open(self.folder / f"{name}.log", "ab") as log:
            self._processes.append(
                subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **more})
            )

    def close(self) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._bridge)
        self.gate.close()

    def docker(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """The docker program against this engine."""
        return subprocess.run(
            ["docker", "--host", self.host, *arguments], capture_output=True, text=True, check=check, timeout=120
        )

    def forget(self) -> None:
        """Remove all images from the engine."""
        found = self.docker("images", "--quiet").stdout.split()
        if found:
            self.docker("rmi", "--force", *found, check=False)
        self.gate.behave()

    def put(self, name: str, tag: str, layers: list[bytes]) -> None:
        """Put an image into the registry."""
        blobs = [gzip.compress(layer, 1, mtime=0) for layer in layers]
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
            "history": [{"created_by": "test"} for _ in layers], "created": "2026-01-01T00:00:00Z",
        }).encode()  # fmt: skip
        kind = "application/vnd.docker."
        manifest = {
            "schemaVersion": 2, "mediaType": MEDIA,
            "config": {"mediaType": f"{kind}container.image.v1+json", "size": len(config), "digest": _digest(config)},
            "layers": [
                {"mediaType": f"{kind}image.rootfs.diff.tar.gzip", "size": len(blob), "digest": _digest(blob)}
                for blob in blobs
            ],
        }  # fmt: skip
        for blob in (config, *blobs):
            self._upload(name, blob)
        body = json.dumps(manifest).encode()
        _ask("PUT", f"{self._registry}/v2/{name}/manifests/{tag}", body, {"Content-Type": MEDIA})
        self.sizes[f"{name}:{tag}"] = sum(map(len, blobs))

    def _upload(self, name: str, blob: bytes) -> None:
        where = _ask("POST", f"{self._registry}/v2/{name}/blobs/uploads/", b"", {})["Location"]
        where = where if where.startswith("http") else self._registry + where
        _ask("PUT", f"{where}&digest={_digest(blob)}", blob, {"Content-Type": "application/octet-stream"})


@contextmanager
def hub(folder: Path, driver: str = "vfs") -> Iterator[Hub]:
    """All of it, up; skips, with the reason, where it does not come up. The driver vfs works on any file system."""
    need_programs()
    made = Hub(folder, driver)
    try:
        try:
            made.start()
        except RuntimeError as error:
            pytest.skip(str(error))
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def layer(seed: int, size: int) -> bytes:
    """A layer with one file that cannot be compressed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(f"layer-{seed}")
        info.size = size
        archive.addfile(info, io.BytesIO(random.Random(seed).randbytes(size)))
    return out.getvalue()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=20)


def _digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def _ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(answer.headers)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def _until(true: Any, what: str) -> None:
    deadline = time.monotonic() + UP_S
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come up within {UP_S:g} s")
        time.sleep(0.1)


def _certificate(folder: Path) -> Path:
    certificate = folder / "hub.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HUB_HOST}",
         "-addext", f"subjectAltName=DNS:{HUB_HOST}", "-keyout", str(folder / "key.pem"), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate
