"""Index expressions as linear forms over the digits of loop variables.

Fused loops make indices like ``f // 56 * 14 + f % 7 * 2``. With *atoms*, the digits of a loop
variable in a mixed radix, such an index is a sum of products again, and the reach of each loop can
be read off.
"""

from __future__ import annotations

#: A digit ``loop // lower % extent``: number of the loop, what is divided off below, the values.
Atom = tuple[int, int, int]
#: A linear form: coefficient of each atom. Constants are dropped: they move no access pattern.
Form = dict[Atom, float]


def add(a: Form, b: Form, sign: int = 1) -> Form:
    """``a + sign * b``."""
    if not b:
        return a
    if not a and sign == 1:
        return b
    total = dict(a)
    for atom, c in b.items():
        total[atom] = total.get(atom, 0) + sign * c
        if not total[atom]:
            del total[atom]
    return total


def quotient(form: Form, divisor: int) -> Form:
    """``form // divisor``; digits that straddle the divisor stay as fractions."""
    high: Form = {}
    low: Form = {}
    for (loop, lower, extent), c in form.items():
        if c % divisor == 0:
            high[loop, lower, extent] = c // divisor
        elif c > 0 and divisor % c == 0 and extent > (below := int(divisor // c)):
            if extent % below == 0:
                high[loop, lower * below, extent // below] = 1
            else:
                high[loop, lower * below, -(-extent // below)] = 1
            low[loop, lower, below] = c
        else:
            low[loop, lower, extent] = c
    if reach(low) >= divisor:  # what is below carries over: v_h + v_rh, halved
        high = add(high, {atom: c / divisor for atom, c in low.items()}, 1)
    return high


def rest(form: Form, divisor: int) -> Form:
    """``form % divisor``, as if the remainder never wrapped around."""
    left: Form = {}
    for (loop, lower, extent), c in form.items():
        if c % divisor == 0:
            continue
        if c > 0 and divisor % c == 0 and extent > divisor // c:
            extent = int(divisor // c)
        left[loop, lower, extent] = c
    return left


def reach(form: Form) -> float:
    """The largest value, from the smallest."""
    return sum(abs(c) * (atom[2] - 1) for atom, c in form.items())
