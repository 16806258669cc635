"""What an evaluation says in words: where a row separates, and whether its weight stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from models.evaluation.report import EvaluationReport, Judgement, Kind, Level, Result, RowFacts


@dataclass(frozen=True, slots=True)
class Summary:
    """One row over all subsets, in the view that counts.

    Attributes:
        places: subsets by judgement; `NAME, videos` where whole videos were ranked.
    """

    row: RowFacts
    places: Mapping[Judgement, tuple[str, ...]]

    @property
    def separates(self) -> bool:
        """Whether it does on one subset at least."""
        return bool(self.places[Judgement.SEPARATES])

    @property
    def weighs_without_ground(self) -> bool:
        """Whether it counts in decisions although it was found to separate nowhere."""
        return self.row.weight > 0 and not self.separates and self.row.kind not in {Kind.FUSED, Kind.BASELINE}

    @property
    def words(self) -> str:
        """Where it separates and where not, and what follows for its weight."""
        said = [f"{judgement} on {' · '.join(places)}" for judgement, places in self.places.items() if places]
        if not said:
            said = ["had no answer to reals and fakes"]
        if self.weighs_without_ground:
            said.append(f"it counts {self.row.weight:g} in decisions, and was not found to separate: set it to 0")
        elif not self.separates and self.row.kind not in {Kind.FUSED, Kind.BASELINE}:
            said.append("weight 0")
        return "; ".join(said)


def summaries(report: EvaluationReport) -> tuple[Summary, ...]:
    """Return the summary of each row, in the order of the report."""
    return tuple(_summary(report, row) for row in report.rows)


def result_words(result: Result) -> str:
    """Return whether a row separates, and whether it does so better than the size of the face alone."""
    if result.margin is None or result.judgement is not Judgement.SEPARATES:
        return result.judgement
    above = result.margin.low is not None and result.margin.low > 0
    return f"{result.judgement}, {'above' if above else 'not shown to be above'} size alone"


def _summary(report: EvaluationReport, row: RowFacts) -> Summary:
    found = [each for each in report.results if each.row == row.name and each.view == report.views[0]]
    places = {judgement: _places(each for each in found if each.judgement is judgement) for judgement in Judgement}
    return Summary(row, places)


def _places(results: Iterable[Result]) -> tuple[str, ...]:
    return tuple(each.subset if each.level is Level.FRAME else f"{each.subset}, videos" for each in results)
