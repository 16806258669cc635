from pathlib import Path

import pytest

from models.evaluation.exceptions import LayoutInvalid
from models.evaluation.layout import read_layout


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(folder: Path, *pairs: str) -> dict[str, list[tuple[str, bool]]]:
    return {
        subset.name: [(sample.path.name, sample.fake) for sample in subset.samples]
        for subset in read_layout(folder, pairs).subsets
    }


def test_a_folder_of_two_labels_is_one_subset_searched_to_any_depth(tmp_path: Path) -> None:
    folder = touch(tmp_path / "faces", "real/b.jpg", "real/deep/a.PNG", "fake/c.webp", "fake/d.mp4", "readme.txt")
    assert names(folder) == {"faces": [("b.jpg", False), ("a.PNG", False), ("c.webp", True), ("d.mp4", True)]}
    (subset,) = read_layout(folder).subsets
    assert [sample.moving for sample in subset.samples] == [False, False, False, True]
    assert subset.ignored == 1


def test_folders_of_labels_are_subsets(tmp_path: Path) -> None:
    touch(tmp_path, "one/real/a.jpg", "one/fake/b.jpg", "two/real_a.mp4", "two/fake_b.mov", ".cache/x.jpg")
    assert names(tmp_path) == {
        "one": [("a.jpg", False), ("b.jpg", True)],
        "two": [("real_a.mp4", False), ("fake_b.mov", True)],
    }


def test_files_may_be_labelled_by_their_names(tmp_path: Path) -> None:
    folder = touch(tmp_path / "clips", "real_a.mp4", "fake_a.mp4", "fake_b.mkv")
    assert names(folder) == {"clips": [("real_a.mp4", False), ("fake_a.mp4", True), ("fake_b.mkv", True)]}


def test_subsets_may_be_named_and_share_their_reals(tmp_path: Path) -> None:
    touch(tmp_path, "photos/a.jpg", "gan/b.jpg", "diffusion/c.jpg", "video/real_x.mp4", "video/fake_x.mp4")
    assert names(tmp_path, "gan=photos:gan", "sd=photos:diffusion", "clips=video") == {
        "gan": [("a.jpg", False), ("b.jpg", True)],
        "sd": [("a.jpg", False), ("c.jpg", True)],
        "clips": [("real_x.mp4", False), ("fake_x.mp4", True)],
    }


def test_a_csv_names_files_from_its_own_folder(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "x/b.jpg", "x/c.jpg")
    listing = tmp_path / "list.csv"
    listing.write_text(
        "\ufeffpath,label,subset\nx/b.jpg, fake ,one\nx/a.jpg,real,one\n\nx/a.jpg,real,\nx/c.jpg,fake,\n"
    )
    assert names(listing) == {"one": [("a.jpg", False), ("b.jpg", True)], "list": [("a.jpg", False), ("c.jpg", True)]}
    listing.write_text("path,label\nx/a.jpg,real\nx/b.jpg,fake\n")
    assert names(listing) == {"list": [("a.jpg", False), ("b.jpg", True)]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "starts with ''"),
        ("file,label\nx/a.jpg,real\n", "and not with path,label"),
        ("path,label\n", "names no file"),
        ("path,label\nx/a.jpg,genuine\n", "line 2: the label is 'genuine'"),
        ("path,label\nx/a.jpg,Real\n", "line 2: the label is 'Real'"),
        ("path,label\nx/a.jpg\n", "line 2 has 1 cells, and not 2"),
        ("path,label\nx/gone.jpg,real\n", "line 2: there is no file"),
        ("path,label\nx/a.txt,real\n", "line 2: 'x/a.txt' is neither an image nor a video"),
        ("path,label\nx/a.jpg,real\nx/b.jpg,fake\nx/a.jpg,real\n", "a.jpg twice"),
        ("path,label\nx/a.jpg,real\nx/b.jpg,fake\nx/../x/a.jpg,fake\n", "a.jpg is labelled real and fake"),
        (
            "path,label,subset\nx/a.jpg,real,p\nx/b.jpg,fake,p\nx/a.jpg,fake,q\nx/b.jpg,real,q\n",
            "labelled real and fake",
        ),
        ("path,label\nx/a.jpg,real\n", "no fake image or video"),
        ('path,label\n"x/a.jpg,real\n', "cannot be read as CSV"),
    ],
)
def test_a_csv_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    touch(tmp_path, "x/a.jpg", "x/b.jpg", "x/a.txt")
    listing = tmp_path / "list.csv"
    listing.write_text(text)
    with pytest.raises(LayoutInvalid, match=said):
        read_layout(listing)


def test_a_file_that_is_no_text_is_no_csv(tmp_path: Path) -> None:
    listing = tmp_path / "list.csv"
    listing.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LayoutInvalid, match="cannot be read as CSV"):
        read_layout(listing)


@pytest.mark.parametrize(
    ("files", "pairs", "said"),
    [
        ((), (), "has neither real/ and fake/"),
        (("real/a.jpg",), (), "there is no folder .*fake"),
        (("real/a.jpg", "fake/a.txt"), (), "no fake image or video"),
        (("one/real/a.jpg", "one/fake/a.jpg", "two/a/b.jpg"), (), "two has neither"),
        (("real_a.jpg", "fake_a.jpg", "other.jpg"), (), "other.jpg starts with neither"),
        (("a/x.jpg", "b/y.jpg"), ("a:b",), "'a:b' is not NAME=REAL:FAKE"),
        (("a/x.jpg", "b/y.jpg"), ("s=a:c",), "there is no folder"),
        (("a/x.jpg", "b/y.jpg"), ("s=a:b", "s=a:b"), "two subsets are called s"),
        (("a/x.jpg",), ("s=a:a",), "labelled real and fake"),
    ],
)
def test_a_folder_that_is_not_laid_out_by_label_is_refused(
    tmp_path: Path, files: tuple[str, ...], pairs: tuple[str, ...], said: str
) -> None:
    with pytest.raises(LayoutInvalid, match=said):
        read_layout(touch(tmp_path, *files), pairs)


def test_subsets_by_name_are_of_a_folder(tmp_path: Path) -> None:
    listing = tmp_path / "list.csv"
    listing.write_text("path,label\n")
    with pytest.raises(LayoutInvalid, match="is none"):
        read_layout(listing, ["a=b:c"])


def test_a_limit_keeps_the_first_files_of_each_label(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/{number}.jpg" for label in ("real", "fake") for number in range(5)))
    (subset,) = read_layout(tmp_path).subsets
    assert [(each.path.name, each.fake) for each in subset.first(2).samples] == [
        ("0.jpg", False),
        ("1.jpg", False),
        ("0.jpg", True),
        ("1.jpg", True),
    ]
    assert subset.first(None) == subset
