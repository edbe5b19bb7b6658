"""The agents of one job, and how the recorded run is shared out between them."""

from __future__ import annotations

from runner.rehearsal.config import chance
from runner.rehearsal.profile import LIMITS, MICRO, Profile, split

STEP_LIMIT = 100
# Editing, opening a pull request and submitting take three steps; fewer leave no patch.
STEPS_OF_A_PATCH = 3


class Turn:
    """One step: when it is done (a fraction of the job), its console line and its messages."""

    __slots__ = ("at", "line", "messages")

    def __init__(self, at: float, line: str, messages: list[dict[str, object]]) -> None:
        self.at = at
        self.line = line
        self.messages = messages


class Agent:
    """One agent's share of the run; money is whole micro-dollars."""

    __slots__ = (
        "agent_id",
        "broken",
        "end",
        "error",
        "exit_status",
        "features",
        "inbox",
        "messages",
        "micro",
        "patch",
        "role",
        "sends",
        "status",
        "steps",
        "turns",
    )

    def __init__(self, agent_id: str, features: tuple[int, ...], steps: int, micro: int, end: float) -> None:
        self.agent_id = agent_id
        self.features = features
        self.steps = steps
        self.micro = micro
        self.end = end
        self.role: str | None = None
        self.status = "Submitted"
        self.exit_status = "Submitted"
        self.error: str | None = None
        # Failed before its first message, so that upstream's except-branch records it.
        self.broken = False
        self.patch = ""
        self.sends: dict[int, list[tuple[str, str]]] = {}
        self.inbox: list[tuple[float, str, str]] = []
        self.turns: list[Turn] = []
        self.messages: list[dict[str, object]] = []

    @property
    def cost(self) -> float:
        return self.micro / MICRO

    @property
    def label(self) -> str:
        return ",".join(str(feature) for feature in self.features)

    @property
    def sent(self) -> list[tuple[str, str]]:
        return [send for step in range(len(self.turns)) for send in self.sends.get(step, [])]

    def limit(self) -> None:
        self.status = self.exit_status = LIMITS

    def fail(self, error: str, exit_status: str, at: float, *, keep_cost: bool = False) -> None:
        """Stop at a fraction of the job with a model's error; the failing call counts as a step."""
        self._stop(error, at)
        self.exit_status = exit_status
        self.turns = [turn for turn in self.turns if turn.at <= at]
        self.steps = len(self.turns) + 1
        if not keep_cost:
            self.micro = 0

    def break_down(self, error: str, at: float) -> None:
        """Stop outside the agent: upstream keeps nothing of it but the text."""
        self._stop(error, at)
        self.broken = True
        self.turns = []
        self.messages = []
        self.steps = 0
        self.micro = 0

    def _stop(self, error: str, at: float) -> None:
        self.status = "Error"
        self.error = error
        self.end = at
        self.patch = ""


def make_agents(setting: str, profile: Profile, features: tuple[int, ...], messages: int) -> list[Agent]:
    key = (setting, profile.repo, profile.task, *profile.features)
    if setting == "solo":
        agents = [Agent("solo", features, profile.steps, profile.micro, 1.0)]
    else:
        agents = _colleagues(profile, sorted(features), key)
        if setting == "team":
            for agent in agents:
                agent.role = "lead" if agent is agents[0] else "member"
    if profile.status == LIMITS:
        max(agents, key=lambda agent: agent.steps).limit()
    for agent in agents:
        if agent.steps >= STEPS_OF_A_PATCH:
            agent.patch = _patch(agent, profile, key)
    if len(agents) > 1:
        _address(agents, messages)
    return agents


def _colleagues(profile: Profile, features: list[int], key: tuple[object, ...]) -> list[Agent]:
    weights = [0.8 + 0.4 * chance("share", index, *key) for index, _ in enumerate(features)]
    count = len(features)
    # A step is certain for each agent before the rest is shared out.
    steps = [part + 1 for part in split(max(0, profile.steps - count), weights)]
    if profile.status == LIMITS and count > 1 and profile.steps > STEP_LIMIT:
        # The recorded one of 110 steps: somebody reached the limit of 100.
        steps = [STEP_LIMIT, *split(profile.steps - STEP_LIMIT, weights[1:])]
    prices = [number * (0.85 + 0.3 * chance("price", index, *key)) for index, number in enumerate(steps)]
    costs = split(profile.micro, prices)
    longest = max(steps)
    return [
        Agent(
            f"agent{index + 1}",
            (feature,),
            steps[index],
            costs[index],
            1.0 if steps[index] == longest else 0.6 + 0.38 * chance("end", index, *key),
        )
        for index, feature in enumerate(features)
    ]


def _patch(agent: Agent, profile: Profile, key: tuple[object, ...]) -> str:
    hunks = []
    for feature in agent.features:
        # Colleagues whose merge failed have changed the same lines.
        clash = agent.agent_id != "solo" and profile.merge == "merge_failed"
        path = "src/core.py" if clash else f"src/feature_{feature}.py"
        count = 4 + int(chance("patch", feature, *key) * 36)
        body = "".join(f"+    feature_{feature}_step_{line} = {line}\n" for line in range(count))
        hunks.append(
            f"diff --git a/{path} b/{path}\nindex 4693ad3..ee2a0a3 100644\n--- a/{path}\n+++ b/{path}\n"
            f"@@ -1,2 +1,{count + 2} @@\n def apply(value):\n     return value\n{body}"
        )
    return "".join(hunks)


TALK = (
    "I am working on feature {feature} and will edit src/core.py near apply(); please keep clear of it.",
    "Understood. My changes stay in src/feature_{feature}.py; I only add an import in core.py.",
    "I have pushed a first version of feature {feature}. Please fetch before you touch the imports.",
    "Fetched. Feature {feature} still passes its tests on my side.",
    "Feature {feature} is finished; I am opening my pull request now.",
)


def _address(agents: list[Agent], messages: int) -> None:
    for number in range(messages):
        sender = agents[number % len(agents)]
        receiver = agents[(number + 1) % len(agents)]
        turn = number // len(agents)
        step = min(1 + turn, max(0, sender.steps - 2))
        text = TALK[number % len(TALK)].format(feature=sender.label)
        sender.sends.setdefault(step, []).append((receiver.agent_id, text))
        receiver.inbox.append(((step + 1) / sender.steps * sender.end, sender.agent_id, text))
