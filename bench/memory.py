"""What each agent's processes take of memory."""

from bench import media, model_sets
from bench.agents import assigned_agents
from bench.processes import Memory, decoders_of, memory_of
from bench.report import Section, Table
from bench.run import Run
from bench.segments import upload_of
from bench.verdicts import VerdictReader
from tests.support.fleet import Fleet
from topics import catalogue

_WRITTEN = "SELECT count(*) FROM deepfake_detection.analysis_results"


def measure(run: Run) -> Section:
    """Measure idle agents, and again after uploads."""
    models = model_sets.fleet()
    stills, clips = run.amount(45, 5), run.amount(5, 1)
    run.tell("memory: starting the agents")
    with run.servers.fleet(FLEET_MODELS__MANIFEST=str(models.manifest)) as fleet:
        originals = media.Originals(fleet.folder, run.amount(media.CLIP, media.SHORT_CLIP))
        files = [originals.still(number) for number in range(stills)]
        files += [originals.copy(number) for number in range(clips)]
        with assigned_agents(fleet) as agents, VerdictReader(fleet) as reader:
            idle = _taken(agents)
            run.tell(f"memory: {len(files)} uploads")
            fleet.publish(catalogue.UPLOADS, [upload_of(file, file.name) for file in files])
            reader.await_contents({file.name for file in files})
            _await_rows(fleet, len(files))
            after = _taken(agents)
    rows = tuple(
        (name, *(f"{amount:,.0f}" for memory in (idle[name], after[name]) for amount in _cells(memory)))
        for name in idle
    )
    columns = ("idle, PSS", "idle, RSS", "after, PSS", "after, RSS")
    table = Table(
        "Memory by process, MiB",
        ("", *columns),
        rows,
        f"After start, and after {stills} stills and {clips} clips; models: {models.remark}. PSS counts a page that n "
        "processes share as 1/n: rings of frames, libraries. An agent's own process holds its libraries and, for "
        "segments, the models with ONNX Runtime's arenas; a decoder holds PyAV and the frame in hand.",
    )
    return Section("Memory", (table,))


def _cells(memory: Memory) -> tuple[float, float]:
    return memory.proportional, memory.resident


def _taken(agents: dict[str, int]) -> dict[str, Memory]:
    taken = {}
    for name, pid in agents.items():
        taken[name] = memory_of(pid)
        decoders = decoders_of(pid)
        if decoders:
            taken[f"{name}: its {len(decoders)} decoders"] = sum(map(memory_of, decoders), Memory(0.0, 0.0))
    taken["all"] = sum(taken.values(), Memory(0.0, 0.0))
    return taken


def _await_rows(fleet: Fleet, count: int) -> None:
    fleet.await_that(lambda: fleet.rows(_WRITTEN) >= [(count,)], "the rows", timeout_s=30.0)
