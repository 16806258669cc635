"""Which files are real and which are fake: read from folders laid out by label, or from a CSV."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.evaluation.exceptions import LayoutInvalid

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
VIDEOS = frozenset({".mp4", ".mov", ".mkv", ".webm"})
LABELS = ("real", "fake")
HEADERS = (("path", "label"), ("path", "label", "subset"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One file and its label."""

    path: Path
    fake: bool

    @property
    def moving(self) -> bool:
        """Whether it is a video."""
        return self.path.suffix.lower() in VIDEOS


@dataclass(frozen=True, slots=True)
class Subset:
    """Reals and fakes that are told apart.

    Attributes:
        samples: reals first, each label by name; at least one of each.
        ignored: other files in its folders: neither images nor videos by their names, or of no label's folder.
    """

    name: str
    samples: tuple[Sample, ...]
    ignored: int = 0

    def first(self, limit: int | None) -> "Subset":
        """Return the first so many files of each label."""
        if limit is None:
            return self
        kept = [
            sample for fake in (False, True) for sample in [each for each in self.samples if each.fake is fake][:limit]
        ]
        return replace(self, samples=tuple(kept))


@dataclass(frozen=True, slots=True)
class Layout:
    """All subsets, in the order in which they are reported."""

    name: str
    subsets: tuple[Subset, ...]


def read_layout(source: Path, pairs: Sequence[str] = ()) -> Layout:
    """Read a folder or a CSV.

    A folder is one subset where it has `real/` and `fake/`, or files whose names start with `real_` and `fake_`;
    otherwise each folder in it is a subset. Folders are searched to any depth below the label's.

    Args:
        source: a folder, or a CSV with the header `path,label` or `path,label,subset`; its paths start at its folder.
        pairs: subsets of a folder by name, each `NAME=REAL:FAKE` or `NAME=FOLDER`, relative to `source`.

    Raises:
        LayoutInvalid: it is not laid out so, or a label or a file is missing.
    """
    if source.is_dir():
        found = [_pair(source, pair) for pair in pairs] if pairs else list(_of_folder(source))
    elif pairs:
        raise LayoutInvalid(f"subsets by name are folders in a folder, and {source} is none")
    else:
        found = list(_of_csv(source))
    names = [subset.name for subset in found]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise LayoutInvalid(f"two subsets are called {twice}")
    labels: dict[Path, bool] = {}
    for subset in found:
        _check(subset, labels)
    return Layout(source.resolve().name, tuple(found))


def _of_folder(folder: Path) -> Iterator[Subset]:
    if _is_labelled(folder):
        yield _labelled(folder.resolve().name, folder)
        return
    within = _folders(folder)
    if not within:
        raise LayoutInvalid(f"{folder} has neither real/ and fake/ nor files named real_… and fake_…")
    for each in within:
        if not _is_labelled(each):
            raise LayoutInvalid(
                f"{each} has neither real/ and fake/ nor files named real_… and fake_…; "
                "name subsets that are laid out in another way one by one, or list the files in a CSV"
            )
        yield _labelled(each.name, each)


def _pair(source: Path, pair: str) -> Subset:
    name, _, folders = pair.partition("=")
    if not name or not folders:
        raise LayoutInvalid(f"{pair!r} is not NAME=REAL:FAKE or NAME=FOLDER")
    real, colon, fake = folders.partition(":")
    if not colon:
        return _labelled(name, _folder(source / real))
    places = [_folder(source / each) for each in (real, fake)]
    reals, fakes = (_media(_files(place)) for place in places)
    others = sum(len(_files(place)) for place in places) - len(reals) - len(fakes)
    return _subset(name, reals, fakes, others)


def _labelled(name: str, folder: Path) -> Subset:
    files = _files(folder)
    folders = [folder / label for label in LABELS]
    if any(each.is_dir() for each in folders):
        reals, fakes = (_media(_files(_folder(each))) for each in folders)
        return _subset(name, reals, fakes, len(files) - len(reals) - len(fakes))
    by_label: dict[str, list[Path]] = {label: [] for label in LABELS}
    for path in _media(_files(folder, deep=False)):
        label = path.name.partition("_")[0]
        if label not in by_label:
            raise LayoutInvalid(f"{path} starts with neither real_ nor fake_")
        by_label[label].append(path)
    reals, fakes = (by_label[label] for label in LABELS)
    return _subset(name, reals, fakes, len(files) - len(reals) - len(fakes))


def _of_csv(source: Path) -> Iterator[Subset]:
    by_subset: dict[str, list[Sample]] = {}
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = tuple(next(rows, ()))
            if header not in HEADERS:
                raise LayoutInvalid(f"{source} starts with {','.join(header)!r}, and not with path,label[,subset]")
            for row in rows:
                if row:
                    name, sample = _row(source, rows.line_num, header, row)
                    by_subset.setdefault(name, []).append(sample)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LayoutInvalid(f"{source} cannot be read as CSV: {error}") from error
    if not by_subset:
        raise LayoutInvalid(f"{source} names no file")
    for name, samples in by_subset.items():
        yield Subset(name, tuple(sorted(samples, key=lambda each: (each.fake, each.path))))


def _row(source: Path, line: int, header: Sequence[str], row: Sequence[str]) -> tuple[str, Sample]:
    where = f"{source}, line {line}"
    if len(row) != len(header):
        raise LayoutInvalid(f"{where} has {len(row)} cells, and not {len(header)}")
    cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
    if cells["label"] not in LABELS:
        raise LayoutInvalid(f"{where}: the label is {cells['label']!r}, and neither real nor fake")
    path = source.parent / cells["path"]
    if path.suffix.lower() not in IMAGES | VIDEOS:
        raise LayoutInvalid(f"{where}: {cells['path']!r} is neither an image nor a video by its name")
    if not path.is_file():
        raise LayoutInvalid(f"{where}: there is no file {path}")
    return cells.get("subset") or source.stem, Sample(path, cells["label"] == "fake")


def _check(subset: Subset, labels: dict[Path, bool]) -> None:
    """Every file once in a subset and with one label in all, which are noted; at least one of either label."""
    seen = set()
    for sample in subset.samples:
        place = sample.path.resolve()
        if labels.setdefault(place, sample.fake) is not sample.fake:
            raise LayoutInvalid(f"subset {subset.name}: {sample.path} is labelled real and fake")
        if place in seen:
            raise LayoutInvalid(f"subset {subset.name} has {sample.path} twice")
        seen.add(place)
    for label, fake in zip(LABELS, (False, True), strict=True):
        if not any(sample.fake is fake for sample in subset.samples):
            raise LayoutInvalid(f"subset {subset.name} has no {label} image or video")


def _subset(name: str, reals: Iterable[Path], fakes: Iterable[Path], ignored: int) -> Subset:
    return Subset(name, (*(Sample(path, False) for path in reals), *(Sample(path, True) for path in fakes)), ignored)


def _is_labelled(folder: Path) -> bool:
    return any((folder / label).is_dir() for label in LABELS) or bool(_media(_files(folder, deep=False)))


def _files(folder: Path, *, deep: bool = True) -> list[Path]:
    paths = folder.rglob("*") if deep else folder.iterdir()
    return sorted(path for path in paths if path.is_file() and not path.name.startswith("."))


def _media(files: Iterable[Path]) -> list[Path]:
    return [path for path in files if path.suffix.lower() in IMAGES | VIDEOS]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise LayoutInvalid(f"there is no folder {path}")
    return path
