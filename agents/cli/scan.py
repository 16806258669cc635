"""`fleet scan`: files judged in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from agents.cli.console import ERR, OUT, note
from agents.cli.exits import CommandFailed, ExitCode
from agents.cli.models import pull_missing
from agents.cli.outcomes import exit_for, print_verdicts
from agents.scanning import Scanner
from agents.settings import load_settings
from schemas.media import AnalysisOptions, DetectionLevel, MediaUpload
from schemas.verdict import Verdict


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How to scan and what to show."""

    level: str
    sample_rate_fps: float
    detailed_timeline: bool
    as_json: bool
    plot: Path | None
    fail_on_manipulated: bool


def scan(files: Sequence[Path], options: ScanOptions) -> None:
    """Judge files and show their verdicts.

    Raises:
        SettingsInvalid: a setting cannot be.
        ModelError: a model cannot be had, does not load, or failed.
        CommandFailed: a picture cannot be written, or the extra that draws it is not installed.
        typer.Exit: a file could not be read, or was found manipulated and that is to fail.
    """
    settings = load_settings()
    pull_missing(settings.models)
    analysis = AnalysisOptions(
        sample_rate_fps=options.sample_rate_fps,
        # The picture shows every frame that was looked at.
        detailed_timeline=options.detailed_timeline or options.plot is not None,
    )
    named: list[tuple[str, Verdict]] = []
    with ERR.status("loading the models") as status, Scanner(settings, files) as scanner:
        for number, file in enumerate(files, start=1):
            status.update(f"judging {file.name} ({number} of {len(files)})")
            upload = scanner.upload(file, DetectionLevel(options.level), analysis)
            verdict = scanner.judge(upload)
            named.append((str(file), verdict))
            if options.plot is not None:
                _draw(scanner, upload, verdict, _target(options.plot, number, len(files)))
    print_verdicts(named, as_json=options.as_json, out=OUT)
    code = exit_for([verdict for _, verdict in named], fail_on_manipulated=options.fail_on_manipulated)
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def _target(plot: Path, number: int, of: int) -> Path:
    return plot if of == 1 else plot.with_stem(f"{plot.stem}-{number}")


def _draw(scanner: Scanner, upload: MediaUpload, verdict: Verdict, path: Path) -> None:
    try:
        from agents.report.plot import top_frame, write_plot  # noqa: PLC0415  (extra `plot`)
    except ModuleNotFoundError as error:
        raise CommandFailed(
            ExitCode.USAGE, f"--plot needs the extra `plot`: pip install 'deepfake-fleet[plot]' ({error})"
        ) from error
    frame = top_frame(verdict)
    picture = None if frame is None else scanner.picture(upload, frame.pts_ms)
    try:
        write_plot(verdict, picture, path)
    except OSError as error:
        raise CommandFailed(ExitCode.USAGE, f"{path} cannot be written: {error}") from error
    note(f"drawn: {path}")
