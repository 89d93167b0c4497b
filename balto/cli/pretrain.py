"""``balto pretrain``: a campaign, from networks to a trained cost model."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from balto.cli.options import (
    BUDGET,
    LOOP_SATURATED,
    NAME,
    PROGRAMS,
    ROUNDS,
    SEED,
    TEST_SHARE,
    WORKERS,
    budget_settings,
    format_option,
    shape_option,
    target_option,
    tasks_option,
    until_saturated_option,
)
from balto.cli.settings import measurer_options

if TYPE_CHECKING:
    from balto.campaign.folder import ShardId
    from balto.data.target import Target
    from balto.workers.executor import Executor


@click.command("pretrain")
@click.argument("work_dir", type=click.Path(path_type=Path))
@click.option("--network", "networks", multiple=True, help="A network's name, .onnx or .pt2 file.")
@click.option("--operator", "operators", multiple=True, help="Such as matmul:1024x1024x1024.")
@shape_option
@tasks_option
@click.option("--pool", type=NAME, help="Replay this recorded pool instead of measuring.")
@target_option
@click.option("--device", type=NAME, help="Name of the device; this machine's by default.")
@click.option(
    "--programs", type=PROGRAMS, default=256, show_default=True, help="Random programs a task, M."
)
@click.option("--selector", default="biased-lcmd", show_default=True, help="Such as balto:C=0.5.")
@click.option("--model", default="xgb", show_default=True, help="Cost model.")
@click.option(
    "--start-from",
    "--from",
    "start_from",
    multiple=True,
    help="Learn from this model file too; may be repeated, 'none' for none. "
    "[default: starter, the model that ships with balto; none with --pool and --target cuda]",
)
@click.option("--compare", help="Run a second selector at the same budget too.")
@click.option(
    "--budget",
    type=BUDGET,
    default="5%",
    show_default=True,
    help="Share of programs to measure, or what measuring them may take, such as 10min.",
)
@click.option("--rounds", type=ROUNDS, default=15, show_default=True, help="Rounds, T.")
@click.option(
    "--test-share",
    type=TEST_SHARE,
    default="10%",
    show_default=True,
    help="Share of each task's programs measured only to judge the model.",
)
@until_saturated_option(LOOP_SATURATED)
@click.option("--seed", type=SEED, default=0, show_default=True)
@measurer_options
@click.option(
    "--ray",
    type=NAME,
    metavar="HOST:PORT|auto|local",
    help="Draw and build on a Ray cluster; timing stays where the devices are. Young: tried on "
    "clusters of one machine.",
)
@click.option(
    "--shard",
    type=NAME,
    metavar="I/N",
    help="Do the I-th part of N of the tasks; balto merge makes one campaign of the parts. Young: "
    "tried with jobs on one machine.",
)
@click.option("--wait", is_flag=True, help="With --shard: go on until the campaign is finished.")
@click.option("--workers", type=WORKERS, default=0, help="Programs under way at once; 0: by cores.")
@click.option("--retry-left-out", is_flag=True, help="Try the tasks again that were left out.")
@format_option
def command(
    work_dir: Path,
    task_files: tuple[Path, ...],
    rpc: str | None,
    leave_out: tuple[str, ...],
    measure_settings: tuple[str, ...],
    rpc_settings: tuple[str, ...],
    ray: str | None,
    shard: str | None,
    wait: bool,
    workers: int,
    retry_left_out: bool,
    output: str,
    **settings: Any,
) -> None:
    """Measure a few programs, train a cost model; resumable.

    Repeat the command to go on after any interruption. WORK_DIR holds everything.
    """
    from balto.campaign.config import Config
    from balto.campaign.folder import ShardId

    if rpc and not settings["device"]:
        settings["device"] = rpc.partition("/")[2] or None  # says more than this machine's name
    if wait and not shard:
        raise click.UsageError("--wait needs --shard; balto merge has a --wait of its own")
    from balto.tasks.own import read_task_file

    own = tuple(task for file in task_files for task in read_task_file(file))
    settings |= budget_settings(settings.pop("budget"))
    config = Config(**{**settings, "tasks": own, "start_from": settings["start_from"] or None})
    part = ShardId.parse(shard) if shard else None
    if config.pool:
        if ray or rpc or shard or leave_out or measure_settings or rpc_settings:
            raise click.UsageError(
                "--pool replays a record: leave out --ray, --shard, --rpc, --measure, "
                "--leave-out-device and --rpc-setting"
            )
        _run(work_dir, config, None, None, retry_left_out)
    else:
        from balto.cli.settings import measurer
        from balto.data.target import Target
        from balto.tasks import check

        if config.networks or config.operators:
            check(config.networks, config.operators)
        target = Target.of(config.target)
        with ExitStack() as stack:
            executor = stack.enter_context(_executor(target, ray, workers)) if ray else None
            said = {"measure": measure_settings, "rpc": rpc_settings}
            made = measurer(target, rpc, leave_out, said, workers, executor)
            measuring = stack.enter_context(made)
            if part:
                _follow(work_dir, config, part, wait, measuring, executor)
                return
            _run(work_dir, config, measuring, executor, retry_left_out)
    if output == "json":
        from balto.campaign.status import status
        from balto.cli.output import print_json

        print_json(status(work_dir).to_dict())


def _executor(target: Target, ray: str, workers: int) -> Executor:
    from balto.measure.placement import untimed_cpus
    from balto.workers.ray import RayExecutor

    return RayExecutor(ray, untimed_cpus(workers, target.cores or 1))


def _follow(
    work_dir: Path, config: Any, shard: ShardId, wait: bool, measurer: Any, executor: Any
) -> None:
    from balto.campaign.shards import Shard
    from balto.cli.live import CampaignNarrator
    from balto.cli.output import left_out_line

    with Shard(work_dir, config, shard) as part:
        with CampaignNarrator() as narrator:
            finished = part.follow(measurer, narrator, executor, wait=wait)
        if part.facts.left_out:
            click.echo(left_out_line(part.facts.left_out), err=True)
    said = "the campaign is finished" if finished else f"next: balto merge {work_dir}"
    click.echo(f"shard {shard} has nothing left to do now; {said}", err=True)


def _run(work_dir: Path, config: Any, measurer: Any, executor: Any, retry_left_out: bool) -> None:
    from balto.campaign.campaign import Campaign
    from balto.campaign.records import MODEL
    from balto.cli.live import CampaignNarrator
    from balto.cli.output import left_out_line
    from balto.report.captions import outlook_words

    with Campaign(work_dir, config) as campaign:
        if campaign.finished and not (retry_left_out and campaign.facts.left_out):
            click.echo(f"{work_dir} is finished already, nothing to do", err=True)
        else:
            with CampaignNarrator() as narrator:
                result = campaign.run(
                    measurer, narrator, executor=executor, retry_left_out=retry_left_out
                )
            if len(result.rounds) < config.rounds:
                click.echo(f"stopped after round {len(result.rounds)} of {config.rounds}", err=True)
            if result.outlook is not None:
                click.echo(outlook_words(result.outlook), err=True)
            click.echo(f"finished: the cost model is {work_dir / MODEL}", err=True)
        if campaign.facts.left_out:
            click.echo(left_out_line(campaign.facts.left_out), err=True)
            click.echo("the same command with --retry-left-out tries them again", err=True)
    click.echo(f"balto report {work_dir} draws it", err=True)
