"""What the live demo shows: a table that moves on a terminal, lines elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agents.demo.live_story import LiveStory, StreamStory
from agents.demo.rows import LiveRows
from agents.demo.steps import StepView
from agents.report.cards import LABEL_STYLES

_PHASES = {"live": "green", "connecting": "yellow", "stalled": "yellow", "ended": "red"}
_PUBLISHER = {"publishing": "green", "connecting": "yellow", "refused": "red", "ended": "red"}
_ON_AIR = {"publishing": "on air"}
_STATES = {"running": "green", "starting": "dim", "joining": "dim"}


class LiveView(StepView):
    """Everything that the live demo prints."""

    @contextmanager
    def following(self, story: LiveStory) -> Iterator[Callable[[Mapping[str, str]], None]]:
        """Show the streams going on; the function that is yielded takes the agents' states."""
        if not self._console.is_terminal:
            yield self._teller(story)
            return
        with Live(_table(story), console=self._console, refresh_per_second=10) as live:

            def show(states: Mapping[str, str]) -> None:
                live.update(Padding(Group(_table(story), Text(), _agents(states)), (0, 0, 0, 2)))

            yield show
            live.update(Padding(_table(story), (0, 0, 0, 2)))

    def _teller(self, story: LiveStory) -> Callable[[Mapping[str, str]], None]:
        told: set[str] = set()

        def tell(states: Mapping[str, str]) -> None:
            lines = [f"agent {agent}: {state}" for agent, state in states.items()]
            for line in (*lines, *(line for stream in story.streams for line in _lines(stream))):
                if line not in told:
                    told.add(line)
                    self._console.print(f"{self.elapsed_s:7.1f} s  {line}", markup=False)

        return tell

    def summary(self, story: LiveStory, rows: LiveRows) -> None:
        """Show how long each step took, and what the database has."""
        self.heading("From a frame to a block that sticks")
        grid = Table.grid(padding=(0, 2))
        for stream in story.streams:
            for label, text in _facts(stream):
                grid.add_row(Text(label, "dim"), text)
        self._console.print(grid)
        self.heading("Rows in Postgres")
        self._console.print(
            f"{rows.verdicts} verdicts on streams, {rows.alerts} alerts, {rows.actions} actions", markup=False
        )

    def done(self) -> None:
        """Say that all went well, and how long it took."""
        self._console.print()
        said = f"one stream blocked and kept out, one left alone, in {self.elapsed_s:.1f} s"
        self._console.print(Text().append("✓ ", "bold green").append(said, "bold"))


def _table(story: LiveStory) -> Table:
    """Fits into 80 columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("stream", "publisher", "pulled", "verdict", "alert", "block"):
        table.add_column(heading, no_wrap=True)
    for stream in story.streams:
        verdict = stream.verdict
        table.add_row(
            stream.media.name,
            Text(_ON_AIR.get(stream.publisher.state, stream.publisher.state), _PUBLISHER[stream.publisher.state]),
            _pulled(stream),
            Text("-", "dim") if verdict is None else Text(_verdict(stream), LABEL_STYLES[verdict.label]),
            Text("-", "dim") if stream.alert is None else Text(stream.alert.risk_level, "bold red"),
            _block(stream),
        )
    return table


def _pulled(stream: StreamStory) -> Text:
    state = stream.state
    if state is None:
        return Text("-", "dim")
    pace = f" {state.published_fps:.0f}/s" if state.phase == "live" else ""
    return Text(f"{state.phase}{pace}", _PHASES[state.phase])


def _verdict(stream: StreamStory) -> str:
    verdict = stream.verdict
    if verdict is None:
        return "-"
    score = "" if verdict.manipulation_score is None else f" {verdict.manipulation_score:.2f}"
    return f"{verdict.label}{score}"


def _block(stream: StreamStory) -> Text:
    """How far it came last, and how often its publisher was refused since."""
    last = next((step for step in ("confirmed", "kicked", "denied") if step in stream.steps), None)
    if last is None:
        return Text("-", "dim")
    text = Text("gone" if last == "confirmed" else last, "bold")
    if stream.denials:
        text.append(f", refused {stream.denials}x", "red")
    return text


def _lines(stream: StreamStory) -> Iterator[str]:
    if stream.state is not None:
        yield f"{stream.stream_id}: {stream.state.phase}"
    if stream.verdict is not None:
        yield f"{stream.stream_id}: verdict {stream.verdict.label}"
    if stream.alert is not None:
        yield f"{stream.stream_id}: alert raised, {stream.alert.risk_level} risk, score {stream.alert.score:.2f}"
    for step in stream.steps:
        yield f"{stream.stream_id}: {step}"
    if stream.denials:
        yield f"{stream.stream_id}: refused on reconnect"


def _facts(stream: StreamStory) -> Iterator[tuple[str, Text]]:
    what = "face re-blended frame by frame" if stream.media.altered else "untouched"
    yield stream.stream_id, Text(what, "bold")
    if stream.verdict is not None:
        yield "last verdict", Text(_verdict(stream), LABEL_STYLES[stream.verdict.label])
    alert, alerted_at = stream.alert, stream.alerted_at
    if alert is None or alerted_at is None:
        yield "alert", Text("none")
        yield "publisher", Text(f"{stream.publisher.state}, never refused")
        return
    yield "frame captured to alert read", Text(f"{(alerted_at - alert.at).total_seconds():.2f} s")
    for step, at in stream.steps.items():
        yield f"alert read to {step}", Text(f"{(at - alerted_at).total_seconds():+.2f} s")
    yield "publisher", Text(f"refused {stream.denials} times since, each time it came back")


def _agents(states: Mapping[str, str]) -> Text:
    text = Text("agents  ", "dim")
    for agent, state in states.items():
        text.append(agent).append(f" {state}  ", _STATES.get(state, "yellow"))
    return text
