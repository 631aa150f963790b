"""Variant files: they come back equal, are always whole, and nothing odd gets in."""

import dataclasses
import json
import os

import pytest

from keras_effnetv2 import profiling
from keras_effnetv2.models import create_model
from keras_effnetv2.networks import variant_files
from keras_effnetv2.networks.variant_files import read_variant, to_json, write_variant
from keras_effnetv2.networks.variants import VARIANTS, fuse_stages, get_variant

B0 = get_variant("efficientnetv2-b0")
FOUND = dataclasses.replace(
    fuse_stages(B0, [4]), name="found", width_coefficient=0.25, depth_coefficient=0.3
)


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "found.json"
    write_variant(FOUND, path)
    return path


def contents(**changes):
    """The fields of FOUND's file, some of them changed; None leaves one out."""
    values = json.loads(to_json(FOUND)) | changes
    return {name: value for name, value in values.items() if value is not None}


def with_row(**changes):
    values = contents()
    values["blocks"][1] |= changes
    return values


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_comes_back_equal(tmp_path, name):
    path = tmp_path / "copy.json"
    write_variant(VARIANTS[name], path)
    assert read_variant(path) == VARIANTS[name]
    assert get_variant(str(path)) is not VARIANTS[name]
    assert to_json(read_variant(path)) == path.read_text()


def test_a_file_is_as_good_as_a_name(found):
    assert get_variant(str(found)) == get_variant(found) == FOUND
    model = create_model(str(found), classes=3, input_shape=(32, 32, 3))
    assert model.name == "found"
    assert profiling.profile(found, 32, measure=False).variant == "found"


def test_the_file_is_one_row_of_blocks_a_line(found):
    lines = found.read_text().splitlines()
    assert len(lines) == 16 + len(FOUND.blocks)
    assert sum('"operator"' in line for line in lines) == len(FOUND.blocks)


def test_fields_of_later_versions_are_written_where_earlier_ones_could_not_build():
    assert "padding" not in to_json(B0)
    changed = dataclasses.replace(FOUND, padding="symmetric", bn_epsilon=1e-5)
    assert json.loads(to_json(changed)) == contents(
        padding="symmetric", bn_epsilon=1e-5
    )
    assert variant_files.from_json(to_json(changed)) == changed


def test_a_file_that_is_there_stays_whole_when_writing_fails(found, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ValueError, match="cannot be written: No space left"):
        write_variant(B0, found)
    assert read_variant(found) == FOUND
    assert [path.name for path in found.parent.iterdir()] == ["found.json"]


def test_what_could_not_be_read_back_is_not_written(tmp_path):
    for name in ("", "a/b", "../up", "x" * 65, "näme", ".hidden", "a\n"):
        with pytest.raises(ValueError, match="name must consist of letters"):
            write_variant(dataclasses.replace(FOUND, name=name), tmp_path / "x.json")
    with pytest.raises(ValueError, match=r"must end in \.json"):
        write_variant(FOUND, tmp_path / "found.txt")
    with pytest.raises(ValueError, match="cannot be written: No such file"):
        write_variant(FOUND, tmp_path / "absent" / "found.json")
    assert not list(tmp_path.iterdir())


def test_another_network_under_a_published_name_is_refused(tmp_path):
    path = tmp_path / "b0.json"
    write_variant(dataclasses.replace(FOUND, name=B0.name), path)
    with pytest.raises(ValueError, match="a different network than the published"):
        get_variant(path)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="There is no variant file absent.json"):
        get_variant("absent.json")
    with pytest.raises(ValueError, match="Unknown variant 'absent'.*a .json file"):
        get_variant("absent")


def test_folders_and_pipes_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path, tmp_path / "pipe.json"):
        with pytest.raises(ValueError, match="There is no variant file"):
            get_variant(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "codec can't decode"),
        (b"[" * 90_000, "too deep"),
        (b"[1]" + b" " * 100_000, "more than 100,000 bytes"),
        (b"[1]", "must have exactly the fields"),
        (b'{"name": 1, "name": 2}', "a field exists twice"),
        (b'{"name": NaN}', "NaN is not a number"),
        (b'{"name": ' + b"9" * 5000 + b"}", "not JSON of a variant"),
    ],
)
def test_what_is_no_variant_file_is_refused(tmp_path, text, message):
    path = tmp_path / "odd.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=f"odd.json is not a variant file.*{message}"):
        read_variant(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (contents(format="version 2"), "Its format is not"),
        (contents(stem_filters=None), r"Missing: \['stem_filters'\]"),
        (contents(color="red"), r"Unknown: \['color'\]"),
        (contents(name=7), "name must consist of letters"),
        (contents(name="../../up"), "name must consist of letters"),
        (contents(stem_filters=1e9), "stem_filters must be a whole number from 1 to"),
        (contents(stem_filters=True), "stem_filters must be a whole number"),
        (contents(eval_size=10**9), "eval_size must be a whole number from 1 to 8192"),
        (contents(dropout_rate="0.5"), "dropout_rate must be a number from 0 to 1"),
        (contents(dropout_rate=1), r"dropout_rate must be in \[0, 1\)"),
        (contents(width_coefficient=float("1e999")), "Infinity is not a number"),
        (contents(width_coefficient=1e300), "width_coefficient must be a number"),
        (contents(activation="import os"), r"activation must be one of \[\"swish\","),
        (contents(activation=["swish"]), "activation must be one of"),
        (contents(padding="valid"), "padding must be one of"),
        (contents(fixed_ends=1), r"fixed_ends must be one of \[false, true\]"),
        (contents(bn_epsilon=-1), "bn_epsilon must be a number from"),
        (with_row(always_expand="yes"), r"blocks\[1\].always_expand must be one of"),
        (contents(blocks=[]), "blocks must be a list of 1 to 1000 rows"),
        (contents(blocks={}), "blocks must be a list"),
        (contents(blocks=[3]), r"blocks\[0\] must have exactly the fields"),
        (with_row(operator="conv"), r"blocks\[1\].operator must be one of"),
        (with_row(operator=["mbconv"]), r"blocks\[1\].operator must be"),
        (with_row(kernel_size=4), "kernel_size=4"),
        (with_row(kernel_size=99), r"blocks\[1\].kernel_size must be a whole number"),
        (with_row(strides=0), r"blocks\[1\].strides must be"),
        (with_row(expand_ratio=10**6), r"blocks\[1\].expand_ratio must be"),
        (with_row(dilation=2), r"Unknown: \['dilation'\]"),
        (contents(depth_coefficient=99), "blocks; the maximum is 1,000"),
        (contents(width_coefficient=99), "channels; the maximum is 32,768"),
    ],
)
def test_every_field_is_checked(tmp_path, values, message):
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=message):
        get_variant(path)


def test_long_values_are_cut_in_messages(tmp_path):
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(contents(name="n" * 50_000)))
    with pytest.raises(ValueError, match="name must consist") as caught:
        read_variant(path)
    assert len(str(caught.value)) < 500


def test_only_json_files_and_paths_are_taken_for_files():
    assert variant_files.is_variant_file("runs/found.json")
    assert not variant_files.is_variant_file("efficientnetv2-s")
