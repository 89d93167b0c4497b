"""A campaign's state in the text format that Prometheus scrapes.

Written without prometheus-client: it would be a dependency of every installation, and replace the
twenty lines at the end of this file; its parser reads what they write to the same values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from balto.campaign.status import CampaignStatus

#: A sample: its labels and its value.
Sample = tuple[Mapping[str, str], float]


def metrics_text(now: CampaignStatus) -> str:
    """All metrics, version 0.0.4 of the text format; what is not known is left out."""
    at, last, fleet = now.progress, now.last, now.facts.fleet
    accuracy = last.accuracy if last is not None else None
    drifting = {drift.device: drift.ratio for drift in fleet.drifts()}
    devices = sorted(fleet.devices.items())
    every: list[tuple[str, str, str, Sequence[Sample]]] = [
        (
            *("balto_state", "gauge", "1 for the state that the campaign is in"),
            [({"state": s}, s == now.state) for s in ("running", "interrupted", "finished")],
        ),
        (
            *("balto_tasks", "gauge", "tasks, by whether their programs are drawn"),
            [
                ({"state": "drawn"}, at.drawn),
                ({"state": "to_draw"}, at.tasks - at.drawn),
                ({"state": "left_out"}, len(now.facts.left_out)),
            ],
        ),
        (
            *("balto_measurements_total", "counter", "programs measured, by how that ended"),
            [({"status": name}, count) for name, count in sorted(now.statuses.items())],
        ),
        _one("balto_measurements_planned", "programs measured in the end", at.planned),
        _one("balto_measurements_per_second", "programs measured a second, lately", at.rate),
        _one("balto_left_seconds", "seconds until all are measured", at.left_s),
        _one("balto_work_seconds", "seconds of building and timing", now.seconds),
        _one("balto_round", "the last round that ended", last.round if last else 0),
        _one("balto_rounds", "rounds in all", now.config.rounds),
        _one("balto_top1_ratio", "Top-1 on held-out programs", accuracy.top1 if accuracy else None),
        _one("balto_top5_ratio", "Top-5 on held-out programs", accuracy.top5 if accuracy else None),
        (
            *("balto_device_programs_total", "counter", "programs that a device timed"),
            [({"device": name}, each.programs) for name, each in devices],
        ),
        (
            *("balto_device_failed_total", "counter", "programs that failed on a device"),
            [({"device": name}, each.failed) for name, each in devices],
        ),
        (
            *("balto_device_busy_seconds_total", "counter", "seconds that a device was busy"),
            [({"device": name}, each.busy_s) for name, each in devices],
        ),
        (
            *("balto_device_probe_seconds", "gauge", "what the probes take on a device"),
            [({"device": name}, each.probe_s) for name, each in devices],
        ),
        (
            *("balto_device_drift_ratio", "gauge", "how far a device is from its fellows"),
            [({"device": name}, drifting.get(name, 1.0)) for name, _ in devices],
        ),
    ]
    return "".join(_family(*each) for each in every)


def _one(name: str, help_text: str, value: float | None) -> tuple[str, str, str, list[Sample]]:
    return name, "gauge", help_text, [({}, math.nan if value is None else value)]


def _family(name: str, kind: str, help_text: str, samples: Sequence[Sample]) -> str:
    known = [(labels, float(value)) for labels, value in samples if math.isfinite(value)]
    if not known:
        return ""
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    for labels, value in known:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
