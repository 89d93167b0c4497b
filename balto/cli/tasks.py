"""``balto tasks``: the optimisation tasks of networks and operators."""

from __future__ import annotations

import click

from balto.cli.options import format_option, shape_option


@click.command("tasks")
@click.argument("networks", nargs=-1)
@click.option("--operator", "operators", multiple=True, help="Such as matmul:1024x1024x1024.")
@click.option("--target", default="llvm", show_default=True, help="llvm, cuda or a target's JSON.")
@shape_option
@format_option
def command(
    networks: tuple[str, ...],
    operators: tuple[str, ...],
    target: str,
    shapes: dict[str, str],
    output: str,
) -> None:
    """List the tasks of NETWORKS: names, .onnx or .pt2 files."""
    import json

    from balto.cli.output import plain, print_json, print_table
    from balto.cli.progress import waiting
    from balto.data.target import Target
    from balto.tasks import extract_tasks
    from balto.units import flop

    with waiting("TVM reads the networks and folds their constants"):
        found = extract_tasks(networks, operators, Target.parse(target), shapes=shapes)
    if output == "json":
        print_json(
            {
                "tasks": [
                    {
                        "name": task.name,
                        "op": task.op,
                        "args": json.loads(task.args),
                        "weight": task.weight,
                        "flop": task.flop,
                        "target": task.target.to_dict(),
                        "device": task.device,
                    }
                    for task in found.tasks
                ],
                "left_out": [{"name": n, "reason": r} for n, r in found.left_out],
                "notes": found.notes,
            }
        )
        return
    total = sum(task.flop * task.weight for task in found.tasks)
    print_table(
        ["#", "operator", "shapes", "weight", "work", "share of FLOP"],
        [
            (
                k,
                task.op,
                _shapes(json.loads(task.args)),
                task.weight,
                flop(task.flop),
                f"{task.flop * task.weight / total:.1%}",
            )
            for k, task in enumerate(found.tasks)
        ],
        title=f"{len(found.tasks)} tasks, {flop(total)}, for {found.tasks[0].device}"
        if found.tasks
        else "no task",
    )
    for note in found.notes:
        click.echo(plain(note))
    if found.left_out:
        names = ", ".join(name for name, _ in found.left_out)
        click.echo(
            plain(f"Left out, since they compute nothing or have no constant shape: {names}")
        )


def _shapes(args: list[int] | list[list[int]]) -> str:
    if args and isinstance(args[0], list):
        return ", ".join("x".join(map(str, shape)) or "scalar" for shape in args)
    return "x".join(map(str, args))
