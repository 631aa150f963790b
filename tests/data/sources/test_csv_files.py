"""Image files that a table names, with labels and parts."""

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data import open_source
from keras_effnetv2.data.labelled_files import LabelledFile, read_table
from tests.data import image_folders

LINES = [
    "file,label,part",
    "cat/000.jpg,cat,train",
    "cat/001.jpg,cat,validation",
    "dog/002.png,dog,train",
    "dog/003.jpg,dog,train",
]


@pytest.fixture(name="folder")
def fixture_folder(tmp_path):
    return image_folders.write(tmp_path / "images", {"cat": 2, "dog": 2})


def write(folder, lines):
    table = folder.parent / "table.csv"
    table.write_bytes("\n".join(lines).encode())
    return {"name": str(table), "directory": str(folder)}


def test_parts_are_splits_and_labels_classes_in_order(folder):
    options = write(folder, LINES)
    source = open_source("csv", "train", **options)
    assert source.num_examples == 3 and source.class_names == ("cat", "dog")
    assert source.class_counts == (1, 2)
    labels = [int(source.read(index)[1]) for index in range(3)]
    assert labels == [0, 1, 1]
    image, _ = source.read(1)
    assert image.numpy() == (folder / "dog" / "002.png").read_bytes()
    assert source.name_of(1).endswith("dog/002.png")
    validation = open_source("csv", "validation", **options, num_classes=2)
    assert validation.num_examples == 1 and validation.num_classes == 2


def test_several_labels_are_a_row_of_0_and_1(folder):
    lines = [LINES[0], "cat/000.jpg,cat;pet,train", "dog/002.png,,train"]
    source = open_source("csv", "train", **write(folder, lines), multi_label=True)
    labels = [source.read(index)[1].numpy() for index in range(2)]
    np.testing.assert_array_equal(labels, [[1, 1], [0, 0]])
    assert source.class_counts == (1, 1)


def test_names_may_be_anything(folder):
    name = 'a, "b"\u00e9.jpg'
    (folder / "cat" / "000.jpg").rename(folder / name)
    lines = [LINES[0], '"a, ""b""\u00e9.jpg",cat,train', *LINES[3:]]
    source = open_source("csv", "train", **write(folder, lines))
    image, _ = source.read(0)
    assert image.numpy() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b"], "names the columns file and label. Received: 'a,b'"),
        (LINES[:1], "has only a header"),
        (LINES[:3], "has only one class"),
        ([*LINES, ",cat,train"], "Line 6 of .* has no file"),
        ([*LINES, "x.jpg,,train"], "Line 6 of .* has no label"),
        ([*LINES, "x.jpg,cat,train"], "1 of 4 files .* are not in .*: x.jpg"),
        ([*LINES, f"{'x' * 200_000},cat,train"], "is not a table .*: field larger"),
        (LINES[:1] + ["x.jpg,cat,test"], "has no images of the part 'train'"),
    ],
)
def test_tables_that_cannot_be_used(folder, lines, message):
    with pytest.raises(ValueError, match=message):
        open_source("csv", "train", **write(folder, lines))


def test_splits_with_other_classes_and_other_numbers(folder):
    options = write(folder, [*LINES, "cat/001.jpg,owl,test"])
    with pytest.raises(ValueError, match="classes that its training .* not have: owl"):
        open_source("csv", "test", **options)
    with pytest.raises(ValueError, match="has 2 classes. Received: data.num_classes=3"):
        open_source("csv", "train", **options, num_classes=3)
    with pytest.raises(ValueError, match="Pass the table"):
        open_source("csv", "train", directory=str(folder))


def test_files_may_be_in_another_file_system(folder):
    tf.io.gfile.makedirs("ram://table/cat")
    path = folder / "cat" / "000.jpg"
    tf.io.gfile.copy(str(path), "ram://table/cat/000.jpg", overwrite=True)
    options = write(folder, LINES) | {"directory": "ram://table"}
    source = open_source("csv", "train", **options)  # The others are not looked for.
    assert source.read(0)[0].numpy() == path.read_bytes()


def test_a_table_need_not_say_parts_or_be_of_utf_8(tmp_path):
    table = tmp_path / "table.csv"
    table.write_bytes(b"\xef\xbb\xbffile,label\r\ncaf\xe9.jpg, cat \r\n")
    (row,) = read_table(table, multi_label=False)
    assert row.labels == ("cat",) and row.part == ""
    assert row.file.encode("utf-8", "surrogateescape") == b"caf\xe9.jpg"


def test_spaces_count_only_if_the_header_is_quoted(tmp_path):
    table, line = tmp_path / "table.csv", '" a.jpg","cat; dog ","train "\n'
    table.write_text(f"file,label,part\n{line}")
    assert read_table(table, True) == [LabelledFile("a.jpg", ("cat", "dog"), "train")]
    table.write_text(f'"file","label","part"\n{line}')
    expected = LabelledFile(" a.jpg", ("cat", " dog "), "train ")
    assert read_table(table, True) == [expected]
