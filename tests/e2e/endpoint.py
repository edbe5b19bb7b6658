"""A scripted OpenAI chat completions endpoint on loopback, which real mini_swe_agent_v2 agents talk to.

`python -m tests.e2e.endpoint --port 0` prints the port and serves until it is ended. Besides
`POST /v1/chat/completions` it has `POST /_plan` (replace the faults) and `GET /_seen` (what came in).
"""

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, get_args

import psutil

from tests.e2e import script
from tests.e2e.meeting import Meeting

PING = "ping"
KEY = "sk-toy"
MODELS = ("gpt-4o", "mine")
Kind = Literal["status", "hang", "delay", "loop", "wrong", "empty"]
# OpenAI's own words: litellm tells the classes of errors apart by them (without "Incorrect API key
# provided", a 401 is a BadRequestError to it).
_ERRORS = {
    401: ("invalid_api_key", "Incorrect API key provided: sk-toy. You can find your API key in your account."),
    404: ("model_not_found", "The model `gpt-4o` does not exist or you do not have access to it."),
    429: ("rate_limit_exceeded", "Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3."),
    500: ("", "The server had an error while processing your request. Sorry about that!"),
    503: ("", "The server is currently overloaded with other requests. Sorry about that!"),
}


@dataclass(frozen=True)
class Fault:
    """One misbehaviour, for the requests whose prompts contain `marker` (and come from `agent`).

    - `status`: answer with this HTTP status (`code`, `message`, `retry_after` go with it)
    - `hang`: never answer; the connection is dropped when the plan is replaced
    - `delay`: answer after `seconds`
    - `loop`: never submit; `wrong`: the code fails its tests; `empty`: submit without a change

    For the agent `PING` it is coopdeck's own question beforehand that misbehaves; no other fault touches that.

    `times` ends it after so many requests; `after` lets an agent have so many answers first.
    """

    kind: Kind
    marker: str = ""
    agent: str = ""
    times: int | None = None
    after: int = 0
    status: int = 503
    code: str = ""
    message: str = ""
    retry_after: float | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown kind of fault: {self.kind}")

    def fits(self, caller: script.Caller, answers: int) -> bool:
        agent_fits = self.agent in ("", caller.agent)
        return agent_fits and self.marker in caller.prompts and answers >= self.after and self.times != 0


@dataclass(frozen=True)
class Delivery:
    """A message that upstream put into an agent's conversation."""

    pair: str
    agent: str
    sender: str
    text: str


class ScriptedEndpoint:
    """The endpoint in this process: `with ScriptedEndpoint(Fault("loop")) as endpoint: ...`."""

    def __init__(self, *faults: Fault, port: int = 0) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.answers: Counter[tuple[str, str]] = Counter()
        self.pings: list[dict[str, Any]] = []
        """The questions for one token: they are about no toy task, and stand in none of the counts above."""
        self.requested: list[str] = []
        """The paths of all requests for a model, right or wrong."""
        self.deliveries: set[Delivery] = set()
        self.told_to_send: dict[str, float] = {}
        """By agent, when it was first told to send a message, in seconds since the epoch."""
        self.meeting = Meeting()
        self._faults = list(faults)
        self._lock = threading.Lock()
        self._plan_changed = threading.Event()
        self._talks = 0
        self._jobs: dict[int, int | None] = {}
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.endpoint = self

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def environment(self) -> dict[str, str]:
        """What makes upstream's agents talk to this endpoint, and end soon when it misbehaves."""
        return {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": KEY,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "1",
        }

    @property
    def spent(self) -> float:
        """What the answers so far cost, by litellm's price list."""
        return sum(self.answers.values()) * script.COST_PER_ANSWER

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.plan()
        self.meeting.close()
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def plan(self, *faults: Fault) -> None:
        """Replace the plan; no fault at all means: behave."""
        with self._lock:
            self._faults = list(faults)
            self._plan_changed.set()
            self._plan_changed = threading.Event()
        self.meeting.expect_everybody()

    def answer(self, request: dict[str, Any], asks_from: int = 0) -> "Answer":
        """The answer to one chat completions request that came from this port; may take its time."""
        conversation = request.get("messages") or []
        caller = script.caller_of(conversation)
        if caller is None:
            return Answer.error(404, "no toy task in this conversation")
        progress = script.progress_of(conversation)
        key = (caller.pair, caller.agent)
        with self._lock:
            self.requests[key] += 1
            for sender, text in script.delivered_messages(conversation):
                self.deliveries.add(Delivery(caller.pair, caller.agent, sender, text))
            faults = self._take_faults(caller, progress.answers)
            plan_changed = self._plan_changed
        behaviour: script.Behaviour = "right"
        for fault in faults:
            if fault.kind in ("hang", "status") and fault.times is None:
                self.meeting.expect_nobody(caller, process_at(asks_from) if caller.messaging else None)
            if fault.kind == "hang":
                plan_changed.wait()
                return Answer(0, {})
            if fault.kind == "status":
                return Answer.of(fault)
            if fault.kind == "delay":
                plan_changed.wait(fault.seconds)
            else:
                behaviour = fault.kind
        answer = self._scripted(str(request.get("model")), caller, conversation, progress, behaviour, asks_from)
        with self._lock:
            self.answers[key] += 1
            if "send_message" in json.dumps(answer.body):
                self.told_to_send.setdefault(caller.agent, time.time())
        return answer

    def ping(self, request: dict[str, Any], authorization: str) -> "Answer":
        """The answer to the question for one token; the key and the model must be right."""
        with self._lock:
            self.pings.append(request)
            faults = [fault for fault in self._faults if fault.agent == PING and fault.times != 0]
            plan_changed = self._plan_changed
        for fault in faults:
            if fault.kind == "hang":
                plan_changed.wait()
                return Answer(0, {})
            if fault.kind == "status":
                return Answer.of(fault)
        if authorization != f"Bearer {KEY}":
            return Answer.of(Fault("status", status=401))
        if request.get("model") not in MODELS:
            return Answer.of(Fault("status", status=404))
        return Answer(200, script.completion(str(request["model"]), script.Step("ready", "true"), "call_ping"))

    def _scripted(
        self,
        model: str,
        caller: script.Caller,
        conversation: script.Conversation,
        progress: script.Progress,
        behaviour: script.Behaviour,
        asks_from: int,
    ) -> "Answer":
        talk = progress.talk
        if talk is None:
            with self._lock:
                self._talks += 1
                talk = self._talks
            self._jobs[talk] = process_at(asks_from) if caller.messaging else None
        elif caller.messaging:
            self.meeting.arrive(talk, caller, progress.step, self._jobs.get(talk))
        waiting = behaviour != "loop" and script.wants_to_wait(caller, conversation, progress)
        step = script.WAIT if waiting else script.next_step(caller, progress.step, behaviour)
        if step.meet and not waiting:
            self.meeting.wait_for_peer(talk, progress.step)
        call_id = script.call_id(talk, progress.step, progress.answers, waiting=waiting)
        return Answer(200, script.completion(model, step, call_id))

    def _take_faults(self, caller: script.Caller, answers: int) -> list[Fault]:
        taken = []
        for index, fault in enumerate(self._faults):
            if fault.fits(caller, answers):
                taken.append(fault)
                if fault.times is not None:
                    self._faults[index] = replace(fault, times=fault.times - 1)
        return taken

    def seen(self) -> dict[str, Any]:
        """What `GET /_seen` tells."""
        with self._lock:
            return {
                "requests": {f"{pair} {agent}": count for (pair, agent), count in self.requests.items()},
                "answers": {f"{pair} {agent}": count for (pair, agent), count in self.answers.items()},
                "deliveries": [asdict(delivery) for delivery in self.deliveries],
                "faults": [asdict(fault) for fault in self._faults],
            }


def process_at(port: int) -> int | None:
    """The process on this machine that has a connection from this port."""
    found = (one.pid for one in psutil.net_connections("tcp4") if one.laddr and one.laddr.port == port and one.raddr)
    return next((pid for pid in found if pid not in (None, os.getpid())), None)


@dataclass(frozen=True)
class Answer:
    """Status 0 drops the connection instead."""

    status: int
    body: dict[str, Any]
    retry_after: float | None = None

    @classmethod
    def error(cls, status: int, message: str, code: str = "") -> Self:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return cls(status, {"error": {"message": message, "type": kind, "param": None, "code": code or None}})

    @classmethod
    def of(cls, fault: Fault) -> Self:
        code, message = _ERRORS.get(fault.status, ("", f"The plan says {fault.status}."))
        answer = cls.error(fault.status, fault.message or message, fault.code or code)
        return replace(answer, retry_after=fault.retry_after)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A hung answer must not hold up the end of a test.
    block_on_close = False
    request_queue_size = 64
    endpoint: ScriptedEndpoint

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A killed job's connection breaks off; anything else is our own mistake.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/_seen":
            return self._send(Answer(200, self.server.endpoint.seen()))
        return self._send(Answer.error(404, f"nothing at GET {self.path}"))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw)
            self.server.endpoint.requested.append(self.path)
            if self.path == "/v1/chat/completions":
                if 1 in (body.get("max_tokens"), body.get("max_completion_tokens")):
                    return self._send(self.server.endpoint.ping(body, self.headers.get("Authorization", "")))
                return self._send(self.server.endpoint.answer(body, self.client_address[1]))
            if self.path == "/_plan":
                self.server.endpoint.plan(*_faults(body))
                return self._send(Answer(200, self.server.endpoint.seen()))
        except (ValueError, TypeError, KeyError) as error:
            return self._send(Answer.error(400, f"bad request: {error}"))
        return self._send(Answer.error(404, f"nothing at POST {self.path}"))

    def _send(self, answer: Answer) -> None:
        if not answer.status:
            self.close_connection = True
            return
        body = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if answer.retry_after is not None:
            self.send_header("Retry-After", f"{answer.retry_after:g}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the counters tell it."""


def _faults(plan: dict[str, Any]) -> Iterable[Fault]:
    return [Fault(**fault) for fault in plan["faults"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plan", default='{"faults": []}', help='JSON, as for POST /_plan: {"faults": [...]}')
    options = parser.parse_args()
    with ScriptedEndpoint(*_faults(json.loads(options.plan)), port=options.port) as endpoint:
        print(endpoint.port, flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
