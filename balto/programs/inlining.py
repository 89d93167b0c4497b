"""How large a task's values become where everything is inlined, as MetaSchedule does it.

A value that is used many times is repeated as often: the approximations of an exponential and of a
hyperbolic tangent use theirs some 20 times each. One after the other, as in the gates of a GRU,
they make an expression of thousands of operations, of which TVM makes a program for seconds, and a
slow one.
"""

from __future__ import annotations

from balto.programs.nests import Program

#: A task with more operations in one value is not drawn. The largest of the recorded pools' tasks
#: has 142, a cell of an LSTM 340, the gates of a GRU 6,491.
MOST = 2000


def operations(program: Program) -> int:
    """Operations of the largest value of a task's module, with what it is computed from inlined.

    What is summed up is not inlined.
    """
    of_buffer: dict[int, int] = {}
    largest = 0
    for statement in program.statements:
        count = sum(statement.operations.values())
        count += sum(of_buffer.get(id(load.buffer), 1) for load in statement.loads)
        largest = max(largest, count)
        summed = statement.accumulates or statement.reduces
        of_buffer[id(statement.store.buffer)] = 1 if summed else count
    return largest
