"""Selections written down literally, as in the papers: the oracles of the tests."""

import numpy as np


def algorithm(f, labelled, budget, *, biased, references=None):
    """Algorithm 1 with d_out or, if `biased`, Algorithm 2; ties to the lowest index.

    The minimum over no program is +inf, and 0 * inf is 0. `references` stand for the predictions
    of the labelled programs.
    """
    kept_away = [f[j] for j in labelled] if references is None else list(references)
    picks = []
    while len(picks) < budget:
        best, best_score = None, None
        for i in range(len(f)):
            if i in labelled or i in picks:
                continue
            distance = min((abs(f[i] - g) for g in kept_away), default=np.inf)
            score = distance
            if biased:
                score = f[i] * distance if f[i] != 0 else 0.0
            if best is None or score > best_score:
                best, best_score = i, score
        picks.append(best)
        kept_away.append(f[best])
    return picks


def greedy_sampling(features, labelled, budget, f=None, y=()):
    """GSx or, with predictions `f` and the labels `y`, iGS; ties to the lowest index."""
    x = np.asarray(features, dtype=np.float64)

    def away(i, j, label):
        distance = np.sqrt(((x[i] - x[j]) ** 2).sum())
        return distance if f is None else distance * abs(f[i] - label)

    known = [(j, label) for j, label in zip(labelled, y, strict=True) if np.isfinite(label)]
    picks = []
    while len(picks) < budget:
        free = [i for i in range(len(x)) if i not in labelled and i not in picks]
        if f is None and not known:
            picks.append(min(free, key=lambda i: ((x[i] - x.mean(0)) ** 2).sum()))
        else:
            nearest = {i: min((away(i, *at) for at in known), default=np.inf) for i in free}
            picks.append(max(free, key=lambda i: nearest[i]))
        known.append((picks[-1], 0.0 if f is None else f[picks[-1]]))
    return picks


def lcmd(features, labelled, budget, weight=None):
    """LCMD-TP in float64, with every distance at hand; centres in order of age.

    A program's squared distances are multiplied by its weight.
    """
    x = np.asarray(features, dtype=np.float64)
    w = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=np.float64)
    square = ((x[:, None] - x[None]) ** 2).sum(-1)
    centres, picks = list(labelled), []
    while len(picks) < budget:
        free = [i for i in range(len(x)) if i not in centres]
        if centres:
            nearest = {
                i: min(range(len(centres)), key=lambda c: square[i, centres[c]]) for i in free
            }
            size = {}
            for i in free:
                size[nearest[i]] = size.get(nearest[i], 0) + w[i] * square[i, centres[nearest[i]]]
            largest = max(sorted(size), key=lambda c: size[c])
            inside = [i for i in free if nearest[i] == largest]
            picks.append(max(inside, key=lambda i: w[i] * square[i, centres[largest]]))
        else:
            picks.append(max(free, key=lambda i: w[i] * (x[i] ** 2).sum()))
        centres.append(picks[-1])
    return picks
