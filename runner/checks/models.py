"""Whether the agents' models can be asked: keys, addresses, names, prices."""

from pathlib import Path

from runner.adapters.ping import Asked, ask_models
from runner.adapters.program import find_cooperbench
from runner.checks.verdicts import CHECK, judged
from runner.checks.wanted import Wanted
from runner.model.check import Finding
from runner.model.failure import one_line
from runner.model.refusal import PreflightRefused, UsageRefused
from runner.model.secrets import masked_text, secrets_of


def check_models(wanted: Wanted) -> list[Finding]:
    """A line for each model, and one more where its price is not known. Takes 5 s and more: litellm is slow to load."""
    if not wanted.models:
        return [Finding(CHECK, "skipped", "no model is named, so none was asked", "name one with -m")]
    try:
        program = find_cooperbench(wanted.program, wanted.root)
    except (PreflightRefused, UsageRefused):
        return [Finding(CHECK, "skipped", f"{', '.join(wanted.models)}: cannot be asked without cooperbench")]
    return ask(wanted, program)


def ask(wanted: Wanted, program: Path) -> list[Finding]:
    """The same with a program that is known to be there."""
    environment = wanted.environment()
    told = ask_models(
        program, Asked(wanted.models, wanted.agent, wanted.agent_config, wanted.ping), environment, wanted.root
    )
    by_name = {str(facts.get("model")): facts for facts in told.models}
    findings: list[Finding] = []
    for model in wanted.models:
        facts = by_name.get(model)
        if facts is not None:
            findings += judged(facts, agent=wanted.agent, ping=wanted.ping, priced=model in wanted.priced)
            continue
        says = f"{model} could not be asked: {one_line(told.trouble) or 'no answer'}"
        remedy = "run coopdeck setup if litellm is not there; --no-ping leaves this out"
        if "agent configuration" in told.trouble:
            remedy = "mend it, or name another with --agent-config"
        findings.append(Finding(CHECK, "fail", says, remedy))
    secrets = secrets_of(environment)
    return [
        Finding(one.check, one.verdict, masked_text(one.says, secrets), masked_text(one.remedy, secrets))
        for one in findings
    ]
