"""Workers as tables: who, how much, where the time goes, which models."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agents.top.judgement import bottleneck
from agents.top.rates import PARTS, WorkerRate

_STYLES = {"running": "green", "silent": "bold red", "stopped": "red", "draining": "yellow", "starting": "cyan"}
_BAR = 20


def screen(workers: Sequence[WorkerRate], processors: int) -> RenderableType:
    """Return what is shown of workers."""
    parts: list[RenderableType] = [_workers(workers)]
    for worker in workers:
        parts.append(_headline(worker, processors))
        if any(stage.per_s > 0 for stage in worker.stages.values()):
            parts.append(Padding(_details(worker), (0, 0, 0, 2)))
    return Group(*parts)


def _workers(workers: Sequence[WorkerRate]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("worker", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in ("messages/s", "behind", "in flight", "paused", "partitions", "cpu", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for worker in workers:
        table.add_row(
            Text(worker.agent or worker.url),
            Text(worker.state, _STYLES.get(worker.state, "")),
            f"{worker.handled:.1f}",
            f"{worker.lag:,}",
            f"{worker.in_flight:,}",
            f"{worker.paused}" if worker.paused else "·",
            f"{worker.partitions}",
            f"{worker.cpu:.2f}",
            decimal(int(worker.memory_bytes)) if worker.memory_bytes else "",
        )
    return table


def _headline(worker: WorkerRate, processors: int) -> Text:
    title = Text(f"\n{worker.agent or worker.url} ", "bold")
    return title.append(bottleneck(worker, processors), "default")


def _details(worker: WorkerRate) -> RenderableType:
    shown = {name: worker.stages[name] for name in PARTS if name in worker.stages and worker.stages[name].per_s > 0}
    stages = Table(box=None, pad_edge=False, header_style="dim")
    stages.add_column("stage", no_wrap=True)
    stages.add_column("share of the time", no_wrap=True)
    for heading in ("ms", "a second"):
        stages.add_column(heading, justify="right", no_wrap=True)
    total = sum(stage.busy for stage in shown.values()) or 1.0
    for name, stage in shown.items():
        share = stage.busy / total
        bar = Text("━" * round(_BAR * share), "cyan").append("━" * (_BAR - round(_BAR * share)), "bright_black")
        stages.add_row(name, bar.append(f" {share:.0%}", "default"), f"{stage.mean_ms:.1f}", f"{stage.per_s:.1f}")
    if not worker.models:
        return stages
    models = Table(box=None, pad_edge=False, header_style="dim")
    models.add_column("model", no_wrap=True)
    models.add_column("runs on", no_wrap=True)
    for heading in ("crops/s", "batch", "waits ms", "runs ms", "busy"):
        models.add_column(heading, justify="right", no_wrap=True)
    for name, model in worker.models.items():
        models.add_row(
            name,
            model.provider,
            f"{model.crops_per_s:.1f}",
            f"{model.batch:.1f}",
            f"{model.wait_ms:.1f}",
            f"{model.run_ms:.1f}",
            f"{model.busy:.0%}",
        )
    return Group(stages, Text(""), models, *_devices(worker))


def _devices(worker: WorkerRate) -> list[Text]:
    """Where models run: how much memory is left there, and how busy a GPU is; and what stands in for want of it."""
    lines = []
    if worker.free_bytes:
        free = ", ".join(f"{name} {decimal(int(left))} free" for name, left in worker.free_bytes.items())
        busy = "" if worker.gpu_busy is None else f", GPU {worker.gpu_busy:.0%} busy"
        lines.append(Text(f"\nmemory for models: {free}{busy}", "dim"))
    if worker.stood_in_for:
        lines.append(Text(f"short of memory: something else serves for {', '.join(worker.stood_in_for)}", "yellow"))
    return lines
