import dataclasses
import json

import pytest

from keras_effnetv2.networks.variant_files import write_variant
from keras_effnetv2.training.experiments.checked import check
from keras_effnetv2.training.experiments.configuration import Optimizer
from keras_effnetv2.training.experiments.named import get_experiment, list_experiments
from keras_effnetv2.training.experiments.settings import (
    from_json,
    list_hints,
    list_settings,
    override,
    to_json,
    to_text,
)
from keras_effnetv2.training.progressive.stages import Ramp
from tests.tiny_networks import tiny

TINY = tiny("tiny-b0")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("optimizer.learning_rate=0.01", 0.01),
        ("optimizer.learning_rate=.5", 0.5),
        ("optimizer.learning_rate=1e-3", 0.001),
        ("optimizer.learning_rate=1", 1.0),
        ("optimizer.learning_rate_batch_size=none", None),
        ("optimizer.global_clipnorm=5", 5.0),
        ("batch_size = 1_024", 1024),
        ("seed=7", 7),
        ("schedule.name=constant", "constant"),
        ("data.cache=false", False),
        ("data.cache=True", True),
        ("data.directory=/data/a=b", "/data/a=b"),
        ("data.name=123", "123"),
        ("data.train_split=train[:98%]", "train[:98%]"),
        ("model.weights=None", None),
        ("model.weights=imagenet", "imagenet"),
        ("model.frozen=stem*, block1*", ("stem*", "block1*")),
        ("model.frozen=", ()),
        ("augmentation.min_crop_area=none", None),
        ("progressive.image_size=128,300", Ramp(128, 300)),
        ("progressive.image_size=224", Ramp(224, 224)),
        ("progressive.image_size=none", None),
        ("progressive.mixup_alpha=0,.2", Ramp(0, 0.2)),
        ("progressive.batch_sizes=256,128,64", (256, 128, 64)),
        ("progressive.batch_sizes=8", (8,)),
    ],
)
def test_a_setting_is_changed_and_nothing_else(assignment, value):
    uncounted = ["data.num_classes=none", "data.num_train_images=none"]
    before = override(get_experiment("finetune-flowers"), uncounted)
    after = override(before, [assignment])
    path = assignment.partition("=")[0].strip()
    assert list_settings(after) == list_settings(before) | {path: value}
    assert type(list_settings(after)[path]) is type(value)
    assert from_json(to_json(after)) == after


def test_a_configuration_of_an_earlier_version_is_read_as_it_was_trained():
    experiment = get_experiment("digits")
    values = json.loads(to_json(experiment))
    del values["data"]["orientation"], values["loop"]["patience"]
    del values["model"]["remat"]
    found = from_json(json.dumps(values))
    assert found == override(experiment, ["data.orientation=stored"])


@pytest.mark.parametrize(
    ("assignments", "num_classes", "num_images"),
    [
        (["batch_size=8"], 1000, 1_256_144),
        (["data.directory=photographs"], 1000, None),
        (["data.train_split=minival"], 1000, None),
        (["data.source=folder"], None, None),
        (["data.source=imagenet_tfrecord"], 1000, 1_256_144),  # As it was.
        (["data.num_classes=3", "data.source=folder"], 3, None),
        (["data.source=folder", "data.num_train_images=7"], None, 7),
    ],
)
def test_numbers_of_one_dataset_are_not_those_of_another(
    assignments, num_classes, num_images
):
    data = override(get_experiment("finetune-imagenet"), assignments).data
    assert (data.num_classes, data.num_train_images) == (num_classes, num_images)


@pytest.mark.parametrize(
    ("train_split", "eval_split", "is_held_out"),
    [
        ("train", "validation", True),
        ("train[:90%]", "train[90%:]", True),
        ("train", "train", False),
        ("train[:90%]", "train[:90%]", False),
        ("train", "train[:60]", False),
        ("train[:60]", "train", False),
        ("train+minival", "minival", False),
        ("train", "test+train", False),
    ],
)
def test_images_are_held_out_where_no_name_says_otherwise(
    train_split, eval_split, is_held_out
):
    splits = [f"data.train_split={train_split}", f"data.eval_split={eval_split}"]
    data = override(get_experiment("digits"), splits).data
    assert data.is_held_out == is_held_out


@pytest.mark.parametrize("name", list_experiments())
def test_settings_can_be_given_as_they_are_listed(name):
    settings = list_settings(get_experiment(name)).items()
    before = override(get_experiment(name), ["progressive.batch_sizes=8,4"])
    listed = [f"{path}={to_text(value)}" for path, value in settings]
    assert override(before, listed) == get_experiment(name)


def test_every_setting_has_a_type():
    settings, types = list_settings(get_experiment("digits")), list_hints()
    assert [*types] == [*settings]
    for path, value in settings.items():
        assert check(value, types[path], path) == value


def test_later_settings_win():
    after = override(get_experiment("digits"), ["epochs=3", "seed=1", "epochs=4"])
    assert (after.epochs, after.seed) == (4, 1)
    assert override(after, []) == after


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "optimizer.lr=1",
            "'optimizer.lr'.*: optimizer.name, optimizer.learning",
        ),
        ("optimiser.name=sgd", "'optimiser.name'. Close to it: optimizer.name"),
        ("data=1", "'data'.*data.source"),
        ("name=x", "No setting is called 'name'"),
        ("optimizer.name.x=1", "No setting is called 'optimizer.name.x'"),
        ("seed", "needs a value.*'seed'"),
        ("batch_size=many", "batch_size must be a whole number, at least 1.*'many'"),
        ("batch_size=0", "at least 1. Received: 0"),
        ("batch_size=1.5", "whole number.*1.5"),
        ("batch_size=true", "whole number.*True"),
        ("batch_size=none", "whole number.*'none'"),
        ("batch_size=1,2", "whole number"),
        ("batch_size=", "whole number.*''"),
        ("optimizer.learning_rate=fast", "optimizer.learning_rate must be a number"),
        ("optimizer.learning_rate=true", "must be a number.*True"),
        ("optimizer.learning_rate=-1", "at least 0. Received: -1"),
        ("optimizer.learning_rate=1e999", "a number.*inf"),
        ("optimizer.ema_momentum=1.5", "a number from 0 to 1. Received: 1.5"),
        (
            "schedule.name=linear",
            "one of 'exponential', 'cosine', 'constant'.*linear",
        ),
        ("data.cache=1", "data.cache must be true or false. Received: 1"),
        ("progressive.image_size=1,2,3", "ramp .first,last. or one number or none"),
        ("progressive.image_size=true", "or one number or none. Received: True"),
        ("progressive.image_size=big", "ramp .first,last. or one number or none"),
        ("progressive.batch_sizes=8,x", "whole numbers separated by commas or none"),
        ("progressive.batch_sizes=8,1.5", "whole numbers separated by commas or none"),
        ("model.variant=resnet", "Unknown variant 'resnet'.*efficientnetv2-s"),
    ],
)
def test_a_setting_that_cannot_be_says_what_can(assignment, message):
    with pytest.raises(ValueError, match=message) as error:
        override(get_experiment("digits"), [assignment])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", list_experiments())
def test_json_brings_every_experiment_back(name):
    experiment = get_experiment(name)
    again = from_json(to_json(experiment))
    assert again == experiment
    assert repr(again) == repr(experiment)


def test_json_is_strict():
    values = json.loads(to_json(get_experiment("digits")))
    with pytest.raises(ValueError, match="Missing: .'seed'..*Unknown: none"):
        from_json(json.dumps({k: v for k, v in values.items() if k != "seed"}))
    with pytest.raises(ValueError, match="data must have exactly.*Unknown: .'extra'."):
        from_json(json.dumps(values | {"data": values["data"] | {"extra": 1}}))
    with pytest.raises(ValueError, match="epochs must be a whole number.*'20'"):
        from_json(json.dumps(values | {"epochs": "20"}))
    with pytest.raises(ValueError, match="data must have exactly"):
        from_json(json.dumps(values | {"data": None}))
    for text in ("[]", "3"):
        with pytest.raises(ValueError, match="the experiment must have exactly"):
            from_json(text)
    with pytest.raises(ValueError, match="not JSON"):
        from_json("{")


def with_variant(variant):
    experiment = get_experiment("digits-smoke")
    model = dataclasses.replace(experiment.model, variant=variant)
    return dataclasses.replace(experiment, model=model)


def test_a_network_itself_is_written_with_the_experiment():
    experiment = with_variant(TINY)
    values = json.loads(to_json(experiment))
    assert values["model"]["variant"]["name"] == TINY.name
    assert from_json(json.dumps(values)) == experiment
    values["model"]["variant"]["blocks"][0]["filters"] = -1
    message = r"model.variant .*blocks\[0\].filters must be"
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(values))


def test_a_network_that_no_file_may_hold_is_refused():
    with pytest.raises(ValueError, match="name must consist of letters"):
        with_variant(dataclasses.replace(TINY, name="a/b"))
    with pytest.raises(ValueError, match="variant must be a text or a Variant.*3"):
        with_variant(3)


def test_the_path_of_a_network_is_kept_as_text(tmp_path):
    write_variant(TINY, tmp_path / "found.json")
    found = with_variant(tmp_path / "found.json")
    assert found == with_variant(str(tmp_path / "found.json"))


def test_construction_is_checked_in_the_same_words():
    with pytest.raises(ValueError, match="learning_rate must be a number, at least 0"):
        Optimizer(learning_rate="0.1")
    assert isinstance(Optimizer(learning_rate=1).learning_rate, float)
