"""What can be seen in each figure, in one sentence, from the numbers that it draws."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from balto.campaign.config import Config
from balto.learn.metrics import HALVES, Accuracy
from balto.learn.round import Round
from balto.learn.saturation import STEP, Outlook
from balto.report.data import HIGH_PERFORMANCE, ReportData
from balto.units import percent, points, seconds


def captions(data: ReportData) -> dict[str, str]:
    """Name of a figure -> its sentence."""
    return {
        "curves": _curves(data),
        "distribution": _distribution(data),
        "high": _high(data),
        "rules": _rules(data),
    }


def reference_words(config: Config, measurements: int) -> str:
    """Which model the level of all labels is of."""
    if config.pool:
        whose = "that the pool has"
    elif config.compare:
        whose = "that the two selectors measured together"
    else:
        whose = "that were measured"
    return (
        f"The dotted line is the same model trained on all {measurements:,} programs {whose} "
        "outside the test share."
    )


def _curves(data: ReportData) -> str:
    ends = {name: r for name, curve in data.curves.items() if (r := _last_judged(curve))}
    if not ends:
        return ""
    parts = []
    for name, r in ends.items():
        if r.accuracy is not None:
            parts.append(
                f"{name} reaches {_smooth(r.accuracy)} with {r.measurements:,} measurements "
                f"({seconds(r.seconds)})"
            )
    if data.reference is not None:
        level = data.reference
        parts.append(
            f"all {level.measurements:,} labels reach {percent(level.accuracy.top1_halves)}"
        )
    sentence = ", ".join(parts)
    accuracies = [r.accuracy for r in ends.values() if r.accuracy is not None]
    sentence += _apart(*accuracies) if len(accuracies) == 2 else "."
    return f"{sentence} {outlook_words(data.outlook)}" if data.outlook else sentence


def outlook_words(expected: Outlook) -> str:
    """What more measurements would bring."""
    return (
        f"Another {STEP:.0%} of the programs ({expected.measurements:,} measurements) would buy "
        f"about {points(expected.gain, expected.error)} points of Top-1, "
        "by the trend of the rounds so far; a single round moves by more."
    )


def _apart(a: Accuracy, b: Accuracy) -> str:
    """Whether the ends of two curves differ by more than the choice of held-out programs."""
    noise = math.hypot(a.top1_halves_sd, b.top1_halves_sd)
    if abs(a.top1_halves - b.top1_halves) <= noise:
        return "; the two selectors end within the band, so this run does not tell them apart."
    return "; the two selectors end further apart than the band, which another seed may not repeat."


def _smooth(accuracy: Accuracy) -> str:
    return f"{percent(accuracy.top1_halves)} ± {100 * accuracy.top1_halves_sd:.1f}"


def _last_judged(curve: list[Round]) -> Round | None:
    return next((r for r in reversed(curve) if r.accuracy), None)


def _distribution(data: ReportData) -> str:
    if not len(data.labels_first):
        return ""
    drawn = ", drawn at random," if data.first_by_chance else ""
    sentence = (
        f"Half of the programs of the first round{drawn} reach "
        f"{percent(float(np.median(data.labels_first)))} of their task's best"
    )
    if len(data.labels_last):
        sentence += (
            f", half of those of the last round {percent(float(np.median(data.labels_last)))}"
        )
    return f"{sentence}; a program that failed counts as 0."


def _high(data: ReportData) -> str:
    sentence = (
        f"{percent(data.high_random)} of the programs drawn at random reach "
        f"{HIGH_PERFORMANCE:.0%} of their task's best"
    )
    if math.isfinite(data.high_selected):
        sentence += (
            f", {percent(data.high_selected)} of those that "
            f"{data.status.config.selector_spec} chose by its model"
        )
    return f"{sentence}."


def _rules(data: ReportData) -> str:
    counts: Counter[str] = sum((Counter(rules) for rules in data.rules), Counter())
    total = sum(counts.values())
    if not total:
        return ""
    shares = ", ".join(f"{name} {n / total:.0%}" for name, n in counts.most_common())
    return f"Of {total:,} selected programs: {shares}."


def curve_words() -> str:
    """What the learning curve is of."""
    return (
        "Top-1 is the speed of the program that the model ranks first, relative to the best one "
        f"held out; here the mean over {HALVES} random halves of each task's held-out programs, "
        "the band is one standard deviation over the halves."
    )
