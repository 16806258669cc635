"""Open an ONNX Runtime session on the fastest provider that this machine has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.exceptions import GoldenMismatch, GraphInvalid, OutOfMemory, ProviderUnavailable
from models.inference.cpus import available_cpus
from models.inference.installed import installed_runtimes, the_runtime
from models.inference.largest_batch import is_out_of_memory
from models.manifest import Entry

# Said here, where the module would be missing, or half of one and half of another.
the_runtime(installed_runtimes())

import onnxruntime as ort  # noqa: E402

AUTO = "auto"
CPU = "cpu"
# Fastest first; `auto` takes the first that opens.
PROVIDERS = {"cuda": "CUDAExecutionProvider", CPU: "CPUExecutionProvider"}
LOG_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, the provider that runs it, and why not a faster one."""

    session: ort.InferenceSession
    provider: str
    reason: str


def open_session(
    entry: Entry,
    graph: Path,
    *,
    provider: str = AUTO,
    threads: int | None = None,
    accept: Callable[[ort.InferenceSession], str] | None = None,
) -> Opened:
    """Open a graph on the provider asked for; `auto` tries them all, fastest first.

    Args:
        entry: what is opened.
        threads: CPU threads within one run; by default the CPUs of this process.
        accept: says of a session what speaks for it, or raises GoldenMismatch: then the next provider is tried.

    Raises:
        ProviderUnavailable: the provider asked for is not there.
        GraphInvalid: ONNX Runtime refuses the graph.
        GoldenMismatch: no provider's session was accepted.
        OutOfMemory: there is no memory to load it.
    """
    if provider != AUTO and provider not in PROVIDERS:
        problem = f"{provider} is none of {', '.join([AUTO, *PROVIDERS])}"
        raise ProviderUnavailable(entry.name, "provider", problem)
    installed = set(ort.get_available_providers())
    passed_over: list[str] = []
    refused: GoldenMismatch | None = None
    for name in PROVIDERS if provider == AUTO else (provider,):
        if PROVIDERS[name] not in installed:
            passed_over.append(f"{name}: not in the installed onnxruntime")
            continue
        session = _open(entry, graph, PROVIDERS[name], threads)
        # ONNX Runtime falls back to the CPU by itself where a provider's libraries do not load.
        if session.get_providers()[0] != PROVIDERS[name]:
            passed_over.append(f"{name}: its libraries did not load")
            continue
        try:
            said = [accept(session)] if accept else []
        except GoldenMismatch as error:
            passed_over.append(f"{name}: {error.problem}")
            refused = error
            continue
        asked = "first that opened" if provider == AUTO else "asked for"
        return Opened(session, name, "; ".join([asked, *said, *passed_over]))
    if refused is not None:
        raise GoldenMismatch(entry.name, refused.field, "; ".join(passed_over))
    raise ProviderUnavailable(entry.name, "provider", "; ".join(passed_over))


def _open(entry: Entry, graph: Path, provider: str, threads: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or available_cpus()
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_ERRORS_ONLY
    # Waiting threads sleep: the CPUs are shared with decoding and the other models' sessions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if entry.full_range:
        # Without it CLIP's logit is off by 1 where there is AVX2 only; with it by 0.2; with VNNI nothing changes.
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return ort.InferenceSession(graph, options, providers=[provider])
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(entry.name, "source", f"no memory to load it: {error}") from error
        raise GraphInvalid(entry.name, "source", f"ONNX Runtime refuses {graph}: {error}") from error


def tried(provider: str) -> Sequence[str]:
    """Return the providers that a setting allows, fastest first, whether this machine has them or not.

    Raises:
        ProviderUnavailable: there is no provider of that name.
    """
    if provider == AUTO:
        return tuple(PROVIDERS)
    if provider not in PROVIDERS:
        problem = f"{provider} is none of {', '.join([AUTO, *PROVIDERS])}"
        raise ProviderUnavailable("models", "provider", problem)
    return (provider,)


def require_installed(entry: Entry, provider: str) -> None:
    """Make sure that the installed ONNX Runtime has a provider.

    Raises:
        ProviderUnavailable: it has not.
    """
    if PROVIDERS[provider] not in ort.get_available_providers():
        raise ProviderUnavailable(entry.name, "provider", "not in the installed onnxruntime")


def new_run_options() -> ort.RunOptions:
    """Return options for one run."""
    return ort.RunOptions()
