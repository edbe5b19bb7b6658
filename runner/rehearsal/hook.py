"""Upstream's door for outside code: `COOPERBENCH_EXTERNAL_AGENTS` and its loggers.

The named modules are imported, and each agent's messages reach the logger `agent` from a
thread of its own, as in upstream, so that a probe sees the same records in a rehearsal.
Without the variable none of this is imported.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue

VARIABLE = "COOPERBENCH_EXTERNAL_AGENTS"
MODEL = "litellm_model"
GIT = "cooperbench.agents.mini_swe_agent_v2.git_connector"


class Hook:
    """Sends records, and waits until they were handled: the order on disk is the order here."""

    def __init__(self) -> None:
        self._lanes: dict[str, SimpleQueue[tuple[Callable[[], None], SimpleQueue[None]]]] = {}

    def started(self, agent_id: str) -> None:
        """Whose thread it is. Nothing is said of a container: there is none that anybody could look at."""
        import logging

        self._on_lane(agent_id, lambda: logging.getLogger(GIT).debug(f"Setting up git for {agent_id}"))

    def retries(self, agent_id: str, line: str) -> None:
        import logging

        self._on_lane(agent_id, lambda: logging.getLogger(MODEL).warning(line))

    def messages(self, agent_id: str, *messages: dict[str, object]) -> None:
        import logging

        self._on_lane(agent_id, lambda: logging.getLogger("agent").debug(messages))

    def _on_lane(self, agent_id: str, send: Callable[[], None]) -> None:
        import threading
        from queue import SimpleQueue

        if agent_id not in self._lanes:
            self._lanes[agent_id] = SimpleQueue()
            threading.Thread(target=_serve, args=(self._lanes[agent_id],), daemon=True).start()
        done: SimpleQueue[None] = SimpleQueue()
        self._lanes[agent_id].put((send, done))
        done.get()


def _serve(lane: SimpleQueue[tuple[Callable[[], None], SimpleQueue[None]]]) -> None:
    while True:
        send, done = lane.get()
        try:
            send()
        finally:
            done.put(None)


def open_hook() -> Hook | None:
    modules = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    if not modules:
        return None
    import importlib
    import logging

    # Upstream sets this level; without it the probe would miss the containers.
    logging.getLogger("mini_swe_agent_v2").setLevel(logging.DEBUG)
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            import warnings

            warnings.warn(f"Could not import external agent module '{name}': {error}", stacklevel=2)
    return Hook()
