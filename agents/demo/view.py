"""What the demo shows: live on a terminal, line by line elsewhere."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agents.demo.media import DemoMedia
from agents.demo.rows import Row
from agents.demo.steps import StepView
from agents.following import Upload
from agents.report.cards import LABEL_STYLES, verdict_card
from agents.report.progress import ProgressLines, UploadProgress
from schemas.verdict import Label, Verdict

_STATE_STYLES = {"running": "green", "starting": "dim", "joining": "dim", "draining": "yellow", "ended": "red"}
_ALTERED_FACE_ROLES = frozenset({"screen", "primary"})


class DemoView(StepView):
    """Everything that the demo of uploads prints."""

    @contextmanager
    def following(self, uploads: Sequence[Upload]) -> Iterator[Callable[[Mapping[str, str]], None]]:
        """Show uploads coming forward; the function that is yielded takes the agents' states."""
        if not self._console.is_terminal:
            lines = ProgressLines(self._console, lambda: self.elapsed_s)
            told: dict[str, str] = {}

            def tell(states: Mapping[str, str]) -> None:
                for agent, state in states.items():
                    if told.get(agent) != state:
                        self._console.print(f"{self.elapsed_s:7.1f} s  agent {agent}: {state}", markup=False)
                told.update(states)
                lines.tell(uploads)

            yield tell
            return
        progress = UploadProgress(uploads, self._clock)
        with Live(progress, console=self._console, refresh_per_second=10) as live:

            def show(states: Mapping[str, str]) -> None:
                live.update(Padding(Group(progress, _agents(states)), (0, 0, 0, 2)))

            yield show
            live.update(Padding(progress, (0, 0, 0, 2)))

    def verdicts(self, media: Sequence[DemoMedia], verdicts: Sequence[Verdict]) -> None:
        """Show each verdict as a card."""
        self.heading("Verdicts, as published on deepfake.verdicts")
        for each, verdict in zip(media, verdicts, strict=True):
            self._console.print(verdict_card(verdict, f"{each.path.name}: {_truth(each)}"))

    def rows(self, rows: Sequence[Row]) -> None:
        """Show what was read back from Postgres."""
        self.heading("Rows, as read back from deepfake_detection.analysis_results")
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("verdict_id", "content_id", "label"):
            table.add_column(heading, no_wrap=True)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("advice", no_wrap=True)
        table.add_column("frame rows", justify="right", no_wrap=True)
        for row in rows:
            table.add_row(
                f"{str(row.verdict_id)[:8]}…",
                row.content_id,
                Text(row.label, LABEL_STYLES[Label(row.label)]),
                "-" if row.manipulation_score is None else f"{row.manipulation_score:.2f}",
                row.recommendation,
                str(row.frame_rows),
            )
        self._console.print(table)

    def limits(self, media: Sequence[DemoMedia], verdicts: Sequence[Verdict]) -> None:
        """Say what these verdicts can tell, and what they cannot."""
        self.heading("What this tells, and what it does not")
        sentences = Table.grid(padding=(0, 1))
        for sentence in limits(media, verdicts):
            sentences.add_row("•", Text(sentence))
        self._console.print(sentences)

    def done(self, count: int) -> None:
        """Say that all went well, and how long it took."""
        self._console.print()
        said = f"{count} uploads in, {count} verdicts out, {count} rows in Postgres, in {self.elapsed_s:.1f} s"
        self._console.print(Text().append("✓ ", "bold green").append(said, "bold"))


def limits(media: Sequence[DemoMedia], verdicts: Sequence[Verdict]) -> list[str]:
    """Return what the verdicts on the demo's media are worth, in sentences."""
    detectors = {model.name: model.role for verdict in verdicts for model in verdict.models if model.role != "faces"}
    sentences = []
    if not _ALTERED_FACE_ROLES & set(detectors.values()):
        sentences.append(
            f"The model set has {_listed(detectors)}, which asks whether a whole face was generated. Nothing in it "
            "asks whether a real face was altered, as the re-blended one was: the untouched media cannot be cleared, "
            "nor the re-blended ones be found out."
        )
    else:
        sentences.append(f"The model set has {_listed(detectors)}.")
    manipulated = [each for each, verdict in zip(media, verdicts, strict=True) if verdict.label is Label.MANIPULATED]
    false_alarms = [each.path.name for each in manipulated if not each.altered]
    found = sum(each.altered for each in manipulated)
    if false_alarms:
        sentences.append(f"Untouched, but called manipulated (a false alarm): {', '.join(false_alarms)}.")
    if any(each.altered for each in media):
        sentences.append(f"Of {sum(each.altered for each in media)} re-blended files {found} were called manipulated.")
    undecided = [each.path.name for each, verdict in zip(media, verdicts, strict=True) if verdict.reason is not None]
    if undecided:
        sentences.append(f"Left to people: {', '.join(undecided)}.")
    sentences.append("Four files show that the way works. They say nothing of how often a verdict is right.")
    return sentences


def _listed(detectors: Mapping[str, str]) -> str:
    if not detectors:
        return "no detector at all"
    named = ", ".join(f"{name} ({role})" for name, role in sorted(detectors.items()))
    return f"the detector{'s' if len(detectors) > 1 else ''} {named}"


def _agents(states: Mapping[str, str]) -> RenderableType:
    text = Text("\nagents  ", "dim")
    for agent, state in states.items():
        text.append("● ", _STATE_STYLES.get(state, "yellow"))
        text.append(f"{agent} {state}   ")
    return text


def _truth(media: DemoMedia) -> str:
    if not media.altered:
        return "untouched"
    return "face re-blended frame by frame" if media.path.suffix == ".mp4" else "face re-blended"
