"""The folder of an assistant, while somebody changes it."""

from __future__ import annotations

import pytest

from rhythmai.errors import BadInput
from rhythmai.mcp.folder import Folder


@pytest.fixture
def folder(tmp_path):
    """A folder with a film in a folder, and a secret of the same name outside."""
    for place in ("root/films", "outside"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "a.mp4").write_text(place)
    with Folder(tmp_path / "root") as folder:
        yield folder


def test_a_film_is_a_path_to_whoever_uploads_it(folder):
    """Its name, size and resolved place are asked as of any path."""
    film = folder.film("films/../films/a.mp4")
    assert (film.name, film.suffix, film.is_file(), film.stat().st_size) == ("a.mp4", ".mp4", True, 10)
    assert film.resolve() == folder.path / "films" / "a.mp4"
    assert film.resolve().stat().st_size == 10


def swap(folder, name: str) -> None:
    """Put a link out of the folder where a file or folder of it was."""
    (folder.path / name).rename(folder.path / "moved")
    (folder.path / name).symlink_to("/".join([".."] * name.count("/") + ["..", name.replace("films", "outside")]))


@pytest.mark.parametrize("name", ["films", "films/a.mp4"])
def test_a_link_that_comes_after_the_look_is_not_followed(folder, name):
    """A film whose folder, or which itself, becomes a link once it was looked at is not read."""
    film = folder.film("films/a.mp4")
    with film.open("rb") as file:
        assert file.read() == b"root/films"
    swap(folder, name)
    for read in (film.open, film.stat, film.is_file):
        with pytest.raises(BadInput, match="cannot be read"):
            read()


def test_a_film_is_written_where_it_began(folder, tmp_path):
    """A folder that becomes a link while a file is written in it does not lead the file out."""
    with folder.new("films/new.mp4") as (_, file):
        file.write(b"film")
        swap(folder, "films")
    assert (folder.path / "moved" / "new.mp4").read_bytes() == b"film"
    assert not (tmp_path / "outside" / "new.mp4").exists()


def test_who_comes_first_keeps_his_file(folder):
    """A file that appears while another of its name is written is not overwritten, and nothing is left of the other."""
    place = folder.path / "films"
    with pytest.raises(BadInput, match="is there already"), folder.new("films/new.mp4"):
        (place / "new.mp4").write_text("mine")
    assert (place / "new.mp4").read_text() == "mine"
    assert sorted(one.name for one in place.iterdir()) == ["a.mp4", "new.mp4"]


def test_what_breaks_off_leaves_nothing(folder):
    """A file that is not written to its end does not appear."""
    with pytest.raises(RuntimeError), folder.new("films/new/b.mp4"):
        raise RuntimeError
    assert list((folder.path / "films" / "new").iterdir()) == []


def test_a_folder_that_was_moved_away_is_not_followed(folder, tmp_path):
    """Where the folder itself becomes a link, nothing is read or written any more."""
    folder.path.rename(tmp_path / "elsewhere")
    folder.path.symlink_to("outside")
    for use in (folder.film, folder.has, lambda text: folder.new(text).__enter__()):
        with pytest.raises(BadInput, match="leads out"):
            use("a.mp4")


@pytest.mark.parametrize("name", ["nothing", "file", "loop"])
def test_the_root_is_a_folder(tmp_path, name):
    """What is no folder is refused with the option to set."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadInput, match="name one with --root"):
        Folder(tmp_path / name)
