"""How a Relax network is rewritten: by rules, one function each. Runs in a worker with TVM.

A rule is given an expression and the network around it. It returns what takes the expression's
place, or None where its pattern or its condition does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any


class Graph:
    """What a rule may ask of the network that is being rewritten, and how it adds to it.

    Args:
        main: the network's main function, as it was before: the inputs, then the weights.
        mutator: TVM's, which rewrites it.

    Attributes:
        builder: TVM's ``BlockBuilder``, which makes the new function.
    """

    def __init__(self, main: Any, mutator: Any) -> None:
        self._main = main
        self._mutator = mutator
        self.builder = mutator.builder_

    def emit(self, value: Any) -> Any:
        """A new variable that stands for `value`."""
        return self.builder.emit(value)

    def bound(self, x: Any, name: str) -> Any:
        """The call of the operator `name` that a variable stands for, or None."""
        from tvm import relax

        value = self._mutator.lookup_binding(x) if isinstance(x, relax.Var) else x
        return value if operator(value) == name else None

    def is_fixed(self, x: Any) -> bool:
        """Whether an operand depends on weights and constants alone."""
        import tvm

        return isinstance(x, tvm.ir.GenericConst) or x in self.fixed

    @cached_property
    def fixed(self) -> set[Any]:
        """Variables that no input reaches; a rule adds those of its own."""
        from tvm.relax.analysis import free_vars

        fixed = set(self._main.params[inputs(self._main) :])
        for binding in self._bindings:
            if fixed.issuperset(free_vars(binding.value)):
                fixed.add(binding.var)
        return fixed

    @cached_property
    def uses(self) -> Counter[Any]:
        """How many bindings use a variable, the network's result included."""
        from tvm.relax.analysis import free_vars

        used = [set(free_vars(binding.value)) for binding in self._bindings]
        used.append(set(free_vars(self._main.body.body)))
        return Counter(var for each in used for var in each)

    @property
    def _bindings(self) -> list[Any]:
        return [binding for block in self._main.body.blocks for binding in block.bindings]


#: (expression, the network around it) -> what takes its place, or None.
Rule = Callable[[Any, Graph], Any]


def rewritten(module: Any, rules: Sequence[Rule]) -> Any:
    """A module in whose Relax functions each expression is what the first rule that holds says.

    Args:
        module: with a function ``main``.
        rules: tried in order on every call, and on every element that is taken of a tuple, once
            its operands have been rewritten. What a rule returns is not tried again.
    """
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    @mutator
    class Rewriter(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            return self.by_rules(call)

        def visit_tuple_getitem_(self, got: Any) -> Any:
            return self.by_rules(got)

        def by_rules(self, expression: Any) -> Any:
            expression = self.visit_expr_post_order(expression)
            results = (rule(expression, graph) for rule in rules)
            return next((each for each in results if each is not None), expression)

    rewriter = Rewriter(module)
    graph = Graph(module["main"], rewriter)
    for var, function in module.functions.items():
        if isinstance(function, relax.Function):
            rewriter.builder_.update_func(var, rewriter.visit_expr(function))
    return rewriter.builder_.get()


def operator(x: Any) -> str:
    """Name of the Relax operator that an expression calls, as ``nn.conv2d``; empty for others."""
    import tvm
    from tvm import relax

    called = isinstance(x, relax.Call) and isinstance(x.op, tvm.ir.Op)
    return str(x.op.name).removeprefix("relax.") if called else ""


def inputs(main: Any) -> int:
    """How many of a function's parameters are inputs; the others are weights."""
    attributes = main.attrs or {}
    return int(attributes["num_input"]) if "num_input" in attributes else len(main.params)


def constant_shape(x: Any) -> list[int] | None:
    """Of a tensor; None where it is not known, or not constant."""
    from tvm.tirx import IntImm

    shape = getattr(x.ty, "shape", None)
    dims = list(getattr(shape, "values", [])) if shape is not None else []
    return [int(n) for n in dims] if dims and all(isinstance(n, IntImm) for n in dims) else None
