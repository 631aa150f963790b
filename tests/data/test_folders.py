"""Every command finds the same files in a folder, whatever their names are."""

import pathlib

import pytest
import tensorflow as tf

from keras_effnetv2.data import folders
from keras_effnetv2.data.printable import printable, shown
from tests.data import image_folders
from tests.data.image_folders import AWKWARD, COMPOSED, DECOMPOSED, NOT_UTF8


def names(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_a_folder_means_the_images_in_it_and_in_its_folders(tmp_path):
    for name in ("b.JPG", "a.png", "c.webp", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "more" / "d.jpg").mkdir(parents=True)
    with pytest.raises(ValueError, match="more has no images, nor have the folders"):
        folders.find(tmp_path / "more")
    (tmp_path / "more" / "d.jpg" / "e.gif").touch()
    found = names(folders.find(tmp_path), tmp_path)
    assert found == ["a.png", "b.JPG", "c.webp", "more/d.jpg/e.gif"]
    assert folders.find(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_a_remote_folder_without_images_is_refused():
    tf.io.gfile.makedirs("ram://without")
    with pytest.raises(ValueError, match="ram://without has no images"):
        folders.find_remote("ram://without")


@pytest.mark.parametrize("find", [folders.find, folders.find_below])
def test_what_systems_leave_behind_is_left_out(tmp_path, warnings, find):
    (tmp_path / "x.jpg").touch()
    image_folders.leave_behind(tmp_path)
    assert names(find(tmp_path), tmp_path) == ["x.jpg"]
    (line,) = warnings
    assert "2 broken links" in line and "broken.jpg, itself.jpg" in line


def test_links_are_what_they_lead_to(tmp_path):
    image_folders.write(tmp_path / "elsewhere", {"bus": 2})
    root = tmp_path / "images"
    root.mkdir()
    (root / "bus").symlink_to(tmp_path / "elsewhere" / "bus")
    (root / "one.jpg").symlink_to(tmp_path / "elsewhere" / "bus" / "000.jpg")
    found = names(folders.find_below(root), root)
    assert found == ["bus/000.jpg", "bus/001.jpg", "one.jpg"]
    # Neither a link to where it is nor a second one to the same folder adds any.
    (root / "up").symlink_to(root)
    (root / "same").symlink_to(tmp_path / "elsewhere" / "bus")
    assert names(folders.find_below(root), root) == found


def test_names_of_any_bytes_are_found_in_one_order(tmp_path):
    written = ["Kb", "Kz", *AWKWARD, COMPOSED]
    for name in written:
        (tmp_path / f"{name}.jpg").touch()
    found = [path.stem for path in folders.find(tmp_path)]
    assert found == [path.stem for path in folders.find_below(tmp_path)]
    assert sorted(found) == sorted(written)
    # Names that look the same are neighbours, however they are written.
    place = found.index(DECOMPOSED)
    assert found[place - 2 : place + 2] == ["Kb", "Kz", DECOMPOSED, COMPOSED]


@pytest.mark.parametrize(("name", "text"), AWKWARD.items())
def test_any_name_is_one_line_of_utf_8(name, text):
    assert printable(name) == printable(pathlib.Path(name)) == text
    assert len(text.encode().splitlines()) == 1


def test_long_lists_are_cut():
    assert shown([NOT_UTF8, "b"]) == "caf\\xe9, b"
    assert shown(map(str, range(1012))).endswith("8, 9 and 1,002 more")


def test_other_places_than_folders_are_named(tmp_path):
    (tmp_path / "photos.zip").touch()
    with pytest.raises(ValueError, match=r"photos.zip' is not a folder"):
        folders.find_below(tmp_path / "photos.zip")
    with pytest.raises(ValueError, match="There is no folder '.*absent'"):
        folders.find_below(tmp_path / "absent")
    for find in (folders.find, folders.find_below):
        with pytest.raises(ValueError, match="gs://mine/photos is not on this machine"):
            find("gs://mine/photos")


def test_folders_of_other_file_systems_are_listed_alike():
    tf.io.gfile.makedirs("ram://photos/bus/more")
    for name in ("b.JPG", "a.png", "._a.png", "notes.txt"):
        with tf.io.gfile.GFile(f"ram://photos/bus/{name}", "w") as file:
            file.write("no image")
    found = folders.listing("ram://photos/bus")
    assert found.images == ("a.png", "b.JPG")
    assert found.folders == ("more",) and found.others == ("notes.txt",)
    assert [*found.paths()] == ["ram://photos/bus/a.png", "ram://photos/bus/b.JPG"]
