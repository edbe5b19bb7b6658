"""Imported inside cooperbench's process: tells what its agents do, as JSON lines.

`COOPERBENCH_EXTERNAL_AGENTS=coopdeck_probe` makes upstream import this module, `COOPDECK_PROBE` names
the file. Without the latter nothing happens. A process that was forked after the import calls
`install()` when its environment is set. Whatever goes wrong in here, the job does not notice.
"""

from __future__ import annotations

import atexit
import contextvars
import functools
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.probe.coopdeck_probe_docker import watch_sdk
    from runner.probe.coopdeck_probe_lines import Lines
    from runner.probe.coopdeck_probe_watch import Watch
else:
    from coopdeck_probe_docker import watch_sdk
    from coopdeck_probe_lines import Lines
    from coopdeck_probe_watch import Watch

VARIABLE = "COOPDECK_PROBE"
REGISTRY = "cooperbench.agents.registry"
MAILBOX = "cooperbench.agents.mini_swe_agent_v2.connectors.messaging"
TALK = "agent"
ENVIRONMENT = "mini_swe_agent_v2.environment"
MODEL = "litellm_model"
GIT = "cooperbench.agents.mini_swe_agent_v2.git_connector"

_inside_call: contextvars.ContextVar[bool] = contextvars.ContextVar("coopdeck_probe_inside_call", default=False)
_installed = False


class Ear(logging.Filter):
    """Hears a logger's records, and lets through what would have passed without it.

    A filter and no handler: where a logger has none, Python prints warnings by itself, and stops
    that as soon as there is one.
    """

    def __init__(self, lines: Lines, hear: Callable[[object], None], logger: logging.Logger) -> None:
        super().__init__()
        self._lines = lines
        self._hear = hear
        self._passes = logger.isEnabledFor

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            self._hear(record.getMessage() if record.args else record.msg)
        except Exception as error:
            self._lines.failed(error)
        return self._passes(record.levelno)


class Probe:
    """The places in upstream that are listened to or wrapped."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.watch = Watch(lines)

    def install(self) -> None:
        for place in (self._loggers, self._litellm, self._mailbox, self._runners, self._docker):
            self._try(place)
        seen = sorted(self.watch.wrapped)
        self.lines.write("probe_begin", None, {"pid": os.getpid(), "sees": ",".join(["loggers", *seen])})

    def _try(self, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return act(*arguments, **options)
        except Exception as error:
            self.lines.failed(error)
            return None

    def _loggers(self) -> None:
        watch = self.watch
        ears = {TALK: watch.talk, ENVIRONMENT: watch.environment, MODEL: watch.retry, GIT: watch.git}
        for name, hear in ears.items():
            logger = logging.getLogger(name)
            logger.addFilter(Ear(self.lines, hear, logger))
            if name in (TALK, GIT):
                # Rather than a level, which the loggers below would inherit, and print by.
                logger.__dict__["isEnabledFor"] = lambda level: True

    def _litellm(self) -> None:
        # Never imported for our sake: that takes seconds.
        litellm = sys.modules.get("litellm")
        if litellm is None:
            return
        for name in ("completion", "responses"):
            _wrap(litellm, name, self._call)
        for name in ("acompletion", "aresponses"):
            _wrap(litellm, name, self._async_call)
        self.watch.wrapped.add("litellm")

    def _call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            if _inside_call.get():
                return original(*args, **kwargs)
            token = _inside_call.set(True)
            begun = self._try(self.watch.call_begins, kwargs.get("model", args[0] if args else None))
            try:
                response = original(*args, **kwargs)
            except BaseException as error:
                self._try(self.watch.call_fails, begun, error)
                raise
            finally:
                self._try(_inside_call.reset, token)
            self._try(self.watch.call_ends, begun, response)
            return response

        return call

    def _async_call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def call(*args: Any, **kwargs: Any) -> Any:
            if _inside_call.get():
                return await original(*args, **kwargs)
            token = _inside_call.set(True)
            begun = self._try(self.watch.call_begins, kwargs.get("model", args[0] if args else None))
            try:
                response = await original(*args, **kwargs)
            except BaseException as error:
                self._try(self.watch.call_fails, begun, error)
                raise
            finally:
                self._try(_inside_call.reset, token)
            self._try(self.watch.call_ends, begun, response)
            return response

        return call

    def _docker(self) -> None:
        watch_sdk(self.lines.failed)

    def _mailbox(self) -> None:
        module = sys.modules.get(MAILBOX)
        if module is None:
            return
        mailbox = module.MessagingConnector
        _wrap(mailbox, "send", self._send)
        _wrap(mailbox, "send_and_wait", self._send_and_wait)
        _wrap(mailbox, "receive", self._receive)
        self.watch.wrapped.add("mailbox")

    def _send(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def send(box: Any, recipient: Any, content: Any, *args: Any, **kwargs: Any) -> Any:
            # The receiver may read it, and say so, before we come back.
            at = time.time()
            delivered = original(box, recipient, content, *args, **kwargs)
            sender = getattr(box, "agent_id", None)
            self._try(self.watch.sent, sender, recipient, content, at, delivered=bool(delivered))
            return delivered

        return send

    def _send_and_wait(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def send_and_wait(*args: Any, **kwargs: Any) -> Any:
            self._try(self.watch.waits, True)
            try:
                return original(*args, **kwargs)
            finally:
                self._try(self.watch.waits, False)

        return send_and_wait

    def _receive(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def receive(box: Any, *args: Any, **kwargs: Any) -> Any:
            messages = original(box, *args, **kwargs)
            self._try(self.watch.received, getattr(box, "agent_id", None), messages)
            return messages

        return receive

    def _runners(self) -> None:
        registry = sys.modules.get(REGISTRY)
        if registry is None:
            return
        for name, runner in list(registry._REGISTRY.items()):
            _wrap(runner, "run", functools.partial(self._run, name))
        # For the user's own modules, should they be imported after this one.
        _wrap(registry, "register", self._register)
        self.watch.wrapped.add("runners")

    def _register(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def register(name: str) -> Any:
            decorator = original(name)

            def decorate(runner: Any) -> Any:
                decorated = decorator(runner)
                self._try(_wrap, decorated, "run", functools.partial(self._run, name))
                return decorated

            return decorate

        return register

    def _run(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def run(*args: Any, **kwargs: Any) -> Any:
            agent = self._try(self.watch.agent_begins, kwargs, name)
            if agent is None:
                return original(*args, **kwargs)
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                self._try(self.watch.agent_ends, agent, None, error)
                raise
            self._try(self.watch.agent_ends, agent, result, None)
            return result

        return run


def _wrap(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(owner, name, None)
    if callable(original):
        setattr(owner, name, make(original))


def install() -> None:
    """Begin, if `COOPDECK_PROBE` names a file and nothing was begun before."""
    global _installed
    path = os.environ.get(VARIABLE)
    if _installed or not path:
        return
    _installed = True
    lines = Lines(path)
    try:
        Probe(lines).install()
        atexit.register(lines.close)
    except Exception as error:
        lines.failed(error)


install()
