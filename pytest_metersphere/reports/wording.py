"""The sentences that all reports share: what the verdict is, and what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from pytest_metersphere.reports.document import (
    ArrivalsInfo,
    Document,
    Ledger,
    ProfileInfo,
    ScenarioResult,
    Verdict,
)
from pytest_metersphere.reports.figures import count, duration, rate
from pytest_metersphere.reports.text import one_line

WORST_FIRST: tuple[Verdict, ...] = ("aborted", "error", "invalid", "failed", "passed")
_MEANINGS: dict[Verdict, str] = {
    "passed": "every check held",
    "failed": "a check did not hold",
    "invalid": "the numbers cannot be believed",
    "aborted": "stopped before its end",
    "error": "it could not be judged",
}


def worst(verdicts: Collection[Verdict]) -> Verdict | None:
    """Return the worst of some verdicts, None without any."""
    return next((verdict for verdict in WORST_FIRST if verdict in verdicts), None)


def overall_verdict(document: Document) -> Verdict | None:
    """Return the worst verdict of all scenarios, None when no scenario ran."""
    return worst({scenario.verdict for scenario in document.scenarios})


def verdict_sentence(document: Document) -> str:
    """Return how many scenarios ended how: "3 scenarios: 1 failed, 2 passed" or "2 scenarios, all passed"."""
    scenarios = document.scenarios
    if not scenarios:
        return "No load scenario ran"
    tally = Counter(scenario.verdict for scenario in scenarios)
    if len(tally) == 1:
        every = ", all" if len(scenarios) > 1 else ":"
        return f"{plural(len(scenarios), 'scenario')}{every} {scenarios[0].verdict}"
    parts = [f"{tally[verdict]} {verdict}" for verdict in WORST_FIRST if tally[verdict]]
    return f"{plural(len(scenarios), 'scenario')}: {', '.join(parts)}"


def severity(scenario: ScenarioResult) -> int:
    """Return a scenario's place when the worst verdicts come first, from 0."""
    return WORST_FIRST.index(scenario.verdict)


def verdict_meaning(verdict: Verdict) -> str:
    """Return in a few words what a verdict says."""
    return _MEANINGS[verdict]


def findings_of(scenario: ScenarioResult) -> list[str]:
    """Return why the verdict is not `passed`; never empty unless it is."""
    if scenario.findings or scenario.verdict == "passed":
        return scenario.findings
    return [f"The run was {scenario.verdict}: {_MEANINGS[scenario.verdict]}"]


def warnings_of(scenario: ScenarioResult) -> list[str]:
    """Return what else is to be known, each sentence marked as a warning."""
    return [f"warning: {warning}" for warning in scenario.warnings]


def profile_sentences(profile: ProfileInfo, group: str = "") -> list[str]:
    """Return the load that was asked for, one short sentence for each part of it."""
    parts = _stage_phrases(profile) if profile.arrivals is None else _rate_phrases(profile, profile.arrivals)
    if group:
        parts.append(f"at the same time as the others of group {one_line(group)}, on the same nodes")
    if profile.pacing_s is not None:
        parts.append(f"an iteration of each user every {duration(profile.pacing_s)}")
    elif profile.arrivals is None:
        parts.append(_think_phrase(profile.think_s))
    if profile.iterations is not None:
        parts.append(f"at most {plural(profile.iterations, 'iteration')} per user")
    if profile.shared_iterations is not None:
        parts.append(f"at most {plural(profile.shared_iterations, 'iteration')} of all users together")
    if profile.warmup_s:
        parts.append(f"the first {duration(profile.warmup_s)} are warm-up and do not count")
    parts.append(f"{duration(profile.graceful_stop_s)} to end gracefully")
    return parts


def ledger_equation(ledger: Ledger) -> str:
    """Return the equation of HTTP exchanges with its numbers; ≠ when it does not add up."""
    parts = f"{count(ledger.counted)} counted + {count(ledger.warmup)} warm-up"
    sign = "=" if ledger_adds_up(ledger) else "≠"
    return f"{count(ledger.exchanges)} exchanges {sign} {parts} + {count(ledger.interrupted)} interrupted"


def starts_equation(ledger: Ledger) -> str:
    """Return what became of the scheduled iterations; ≠ when it does not add up, empty without any."""
    if not ledger.scheduled:
        return ""
    sign = "=" if starts_add_up(ledger) else "≠"
    parts = f"{count(ledger.started)} started + {count(ledger.dropped)} dropped"
    return f"{plural(ledger.scheduled, 'iteration')} scheduled {sign} {parts}"


def starts_add_up(ledger: Ledger) -> bool:
    """Return whether scheduled = started + dropped."""
    return ledger.scheduled == ledger.started + ledger.dropped


def ledger_adds_up(ledger: Ledger) -> bool:
    """Return whether exchanges = counted + warmup + interrupted."""
    return ledger.exchanges == ledger.counted + ledger.warmup + ledger.interrupted


def plural(number: int, noun: str) -> str:
    """Return "1 node", "3 nodes"."""
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def _stage_phrases(profile: ProfileInfo) -> list[str]:
    phrases: list[str] = []
    level = 0
    for stage in profile.stages:
        users = plural(stage.users, "user")
        if stage.duration_s is None:
            phrases.append(f"{users} until their iterations are done")
        elif stage.users == level:
            phrases.append(f"{users} for {duration(stage.duration_s)}")
        elif stage.duration_s == 0:
            phrases.append(f"{users} at once")
        else:
            phrases.append(f"from {count(level)} to {users} within {duration(stage.duration_s)}")
        level = stage.users
    return phrases


def _rate_phrases(profile: ProfileInfo, arrivals: ArrivalsInfo) -> list[str]:
    phrases: list[str] = []
    level = 0.0
    for stage in arrivals.stages:
        reached = rate(stage.rate)
        if stage.rate == level:
            phrases.append(f"{reached} for {duration(stage.duration_s)}")
        elif stage.duration_s:
            phrases.append(f"from {rate(level)} to {reached} within {duration(stage.duration_s)}")
        level = stage.rate
    process = " at random (Poisson)" if arrivals.process == "poisson" else ""
    started = f"{plural(arrivals.scheduled, 'iteration')} scheduled{process}"
    return [*phrases, started, f"at most {plural(profile.users, 'user')} at once"]


def _think_phrase(think: tuple[float, float]) -> str:
    shortest, longest = think
    if longest <= 0:
        return "no pause between iterations"
    span = duration(shortest) if shortest == longest else f"{duration(shortest)} to {duration(longest)}"
    return f"{span} between iterations"
