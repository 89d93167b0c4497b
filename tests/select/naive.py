"""The paper's selections written down literally: the oracles of the tests, O(B M^2)."""

import numpy as np


def algorithm(f, labelled, budget, *, biased):
    """Algorithm 1 with d_out or, if `biased`, Algorithm 2; ties to the lowest index.

    The minimum over no program is +inf, and 0 * inf is 0.
    """
    labelled, picks = list(labelled), []
    while len(picks) < budget:
        best, best_score = None, None
        for i in range(len(f)):
            if i in labelled or i in picks:
                continue
            distance = min((abs(f[i] - f[j]) for j in labelled + picks), default=np.inf)
            score = distance
            if biased:
                score = f[i] * distance if f[i] != 0 else 0.0
            if best is None or score > best_score:
                best, best_score = i, score
        picks.append(best)
    return picks
