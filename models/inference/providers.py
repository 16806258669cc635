"""Open an ONNX Runtime session on the fastest provider that this machine has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.exceptions import GoldenMismatch, GraphInvalid, OutOfMemory, ProviderUnavailable
from models.graph import INPUT
from models.inference.cpus import available_cpus, has_vnni
from models.inference.gpu_libraries import cuda_obstacle, tensorrt_obstacle
from models.inference.installed import installed_runtimes, the_runtime
from models.inference.largest_batch import is_out_of_memory
from models.inference.provider_options import CPU, CUDA, PLAIN, PROVIDERS, TENSORRT, GpuUse, providers_for
from models.manifest import Entry

# Said here, where the module would be missing, or half of one and half of another.
the_runtime(installed_runtimes())

import onnxruntime as ort  # noqa: E402

AUTO = "auto"
LOG_ERRORS_ONLY = 3
_NO_GRAPH = "CUDA Graph"
"""What ONNX Runtime says of a network that cannot be captured: of its nodes some run on the CPU, or are loops."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, the provider that runs it, and what is to be said of that."""

    session: ort.InferenceSession
    provider: str
    reason: str


def open_session(
    entry: Entry,
    graph: Path,
    *,
    provider: str = AUTO,
    threads: int | None = None,
    use: GpuUse = PLAIN,
    accept: Callable[[ort.InferenceSession], str] | None = None,
) -> Opened:
    """Open a graph on the provider asked for; `auto` tries them all, fastest first.

    Args:
        entry: what is opened.
        graph: its prepared graph.
        provider: `auto`, or one of `PROVIDERS`.
        threads: CPU threads within one run; by default the CPUs of this process.
        use: how a GPU is used.
        accept: says of a session what speaks for it, or raises GoldenMismatch: then the next provider is tried.

    Raises:
        ProviderUnavailable: the provider asked for is not there or refuses the graph, or the manifest forbids it.
        GraphInvalid: ONNX Runtime refuses the graph on the CPU too.
        GoldenMismatch: no provider's session was accepted.
        OutOfMemory: there is no memory to load it.
    """
    passed_over: list[str] = []
    refused: GoldenMismatch | None = None
    for name in tried(provider, [entry]):
        prefix = f"{name}: " if provider == AUTO else ""
        try:
            require_usable(entry, name)
        except ProviderUnavailable as error:
            passed_over.append(f"{prefix}{error.problem}")
            continue
        try:
            session, said = _open(entry, graph, name, threads, use)
        except GraphInvalid as error:
            if name == CPU:
                raise
            passed_over.append(f"{prefix}{error.problem}")
            continue
        # Where a provider's libraries do not load, ONNX Runtime leaves it out.
        if session.get_providers()[0] != PROVIDERS[name]:
            passed_over.append(f"{prefix}its libraries did not load")
            continue
        try:
            said = [*([accept(session)] if accept else []), *said]
        except GoldenMismatch as error:
            passed_over.append(f"{prefix}{error.problem}")
            refused = error
            continue
        chosen = ["first that opened"] if provider == AUTO else []
        return Opened(session, name, "; ".join([*chosen, *said, *passed_over]))
    if refused is not None:
        raise GoldenMismatch(entry.name, refused.field, "; ".join(passed_over))
    raise ProviderUnavailable(entry.name, "provider", "; ".join(passed_over))


def _open(
    entry: Entry, graph: Path, provider: str, threads: int | None, use: GpuUse
) -> tuple[ort.InferenceSession, list[str]]:
    """A session, and what is to be said of it; without CUDA graphs where the network does not allow them."""
    try:
        return _session(entry, graph, provider, threads, use), []
    except GraphInvalid as error:
        if not use.graphs or _NO_GRAPH not in error.problem:
            raise
    plain = GpuUse(use.memory_bytes, use.engines, graphs=False)
    return _session(entry, graph, provider, threads, plain), ["no CUDA graph: not all of it runs on the GPU"]


def _session(entry: Entry, graph: Path, provider: str, threads: int | None, use: GpuUse) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or available_cpus()
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_ERRORS_ONLY
    # Waiting threads sleep: the CPUs are shared with decoding and the other models' sessions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if entry.full_range and not has_vnni():
        # Without it CLIP's logit is off by 1 where there is AVX2 only, and with it by 0.2. With VNNI its answer is the
        # same either way, and takes twice as long.
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        # Its own fallback would move to the CPU on any error, also in a run: a verdict would name the wrong provider.
        return ort.InferenceSession(
            graph, options, providers=list(providers_for(provider, entry, INPUT, use)), enable_fallback=0
        )
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(entry.name, "source", f"no memory to load it: {error}") from error
        raise GraphInvalid(entry.name, "source", f"ONNX Runtime refuses {graph}: {error}") from error


def tried(provider: str, entries: Sequence[Entry]) -> Sequence[str]:
    """Return the providers that a setting allows, fastest first, whether this machine has them or not.

    What the manifest keeps from the provider asked for runs on the next slower one: of a fleet on GPUs some models are
    made for CPUs.

    Args:
        provider: `auto`, or one of `PROVIDERS`.
        entries: the entry, and its twin for GPUs.

    Raises:
        ProviderUnavailable: there is no provider of that name.
    """
    if provider == AUTO:
        return tuple(PROVIDERS)
    if provider not in PROVIDERS:
        problem = f"{provider} is none of {', '.join([AUTO, *PROVIDERS])}"
        raise ProviderUnavailable("models", "provider", problem)
    slower = list(PROVIDERS)[list(PROVIDERS).index(provider) :]
    for place, name in enumerate(slower):
        if not all(_kept_from(entry, name) for entry in entries):
            return tuple(slower[: place + 1])
    return (provider,)


def _kept_from(entry: Entry, provider: str) -> str:
    """Why an entry may not run on a provider, or nothing."""
    if provider not in entry.providers:
        return "forbidden by the manifest"
    if provider == TENSORRT and entry.input.size is None:
        return "would build an engine for every size of frame"
    return ""


def require_usable(entry: Entry, provider: str) -> None:
    """Make sure that an entry may run on a provider, and that this machine has it.

    Raises:
        ProviderUnavailable: it may not, or has it not.
    """
    if kept := _kept_from(entry, provider):
        raise ProviderUnavailable(entry.name, "providers", kept)
    if PROVIDERS[provider] not in ort.get_available_providers():
        raise ProviderUnavailable(entry.name, "provider", "not in the installed onnxruntime")
    obstacle = {TENSORRT: tensorrt_obstacle, CUDA: cuda_obstacle}.get(provider)
    if obstacle is not None and (said := obstacle()):
        raise ProviderUnavailable(entry.name, "provider", said)


def new_run_options() -> ort.RunOptions:
    """Return options for one run."""
    return ort.RunOptions()
