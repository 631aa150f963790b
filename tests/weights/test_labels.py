"""Class names and their use."""

import keras
import numpy as np
import pytest

from keras_effnetv2.weights import labels


def test_imagenet_has_the_index_of_keras():
    names = labels.class_names("imagenet")
    ids = [wordnet_id for wordnet_id, _ in names]
    assert len(set(ids)) == 1000
    assert ids == sorted(ids)  # Keras' index is sorted by id.
    assert names[0] == ("n01440764", "tench")
    assert names[281] == ("n02123045", "tabby")
    assert names[388] == ("n02510455", "giant_panda")
    assert names[999] == ("n15075141", "toilet_tissue")


def test_imagenet21k_is_complete():
    names = labels.class_names("imagenet21k")
    assert len({wordnet_id for wordnet_id, _ in names}) == len(names) == 21843
    # EfficientNetV2-S' answer to a photograph of a cat, leondgarse's test.
    assert names[2389][0] == "n02122298"
    # Google's own label file lacks these two, and has n04399382 instead.
    assert names[9205] == ("n03931044", "picture")
    assert names[15027] == ("n09859684", "bleacher")
    assert "n04399382" not in dict(names)


def test_imagenet21k_contains_imagenet_but_for_the_teddy():
    imagenet = set(labels.class_names("imagenet"))
    missing = imagenet - set(labels.class_names("imagenet21k"))
    assert missing == {("n04399382", "teddy")}


@pytest.mark.parametrize("name", ["imagenet", "imagenet21k"])
def test_names_are_words(name):
    for wordnet_id, class_name in labels.class_names(name):
        assert wordnet_id[0] == "n" and wordnet_id[1:].isdigit()
        assert class_name and " " not in class_name and class_name.isascii()


def test_unknown_list_of_classes_is_refused():
    with pytest.raises(ValueError, match="'imagenet', 'imagenet21k'.*'cifar'"):
        labels.class_names("cifar")


def test_best_classes_come_first():
    scores = np.zeros((2, 1000), "float32")
    scores[0, [388, 281, 0]] = [0.5, 0.3, 0.2]
    scores[1, 999] = 1
    first, second = labels.decode_predictions(scores, top=3)
    assert [name for _, name, _ in first] == ["giant_panda", "tabby", "tench"]
    assert first[0] == ("n02510455", "giant_panda", np.float32(0.5))
    assert second[0] == ("n15075141", "toilet_tissue", 1)
    assert len(second) == 3


def test_number_of_columns_chooses_the_list():
    scores = np.zeros((1, 21843), "float32")
    scores[0, 9205] = 1
    assert labels.decode_predictions(scores)[0][0] == ("n03931044", "picture", 1)
    assert len(labels.decode_predictions(scores, top=21843)[0]) == 21843


def test_same_answer_as_keras_applications(monkeypatch):
    from keras.src.applications import imagenet_utils

    index = {str(i): names for i, names in enumerate(labels.class_names("imagenet"))}
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", index)
    scores = np.random.default_rng(0).random((3, 1000), "float32")
    expected = keras.applications.efficientnet_v2.decode_predictions(scores, top=7)
    assert labels.decode_predictions(scores, top=7) == expected


def test_tensors_are_taken():
    scores = np.eye(2, 1000, dtype="float32")
    tensor = keras.ops.cast(scores, "bfloat16")
    assert labels.decode_predictions(tensor)[1][0][:2] == ("n01443537", "goldfish")
    assert labels.decode_predictions(scores.tolist(), top=1)[0][0][1] == "tench"


def test_integers_nan_and_ties_have_an_order():
    scores = np.zeros((1, 1000), "uint8")
    scores[0, 7] = 255
    best = labels.decode_predictions(scores, top=3)[0]
    assert [name for _, name, _ in best] == ["cock", "tench", "goldfish"]
    scores = np.zeros((1, 1000), "float32")
    scores[0, 0] = np.nan
    assert labels.decode_predictions(scores, top=1)[0][0][1] == "goldfish"


def test_no_images_give_no_answers():
    assert labels.decode_predictions(np.zeros((0, 1000))) == []


@pytest.mark.parametrize("shape", [(1000,), (1, 999), (1, 21842), (1, 1, 1000), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(batch, 1000\) or \(batch, 21843\)"):
        labels.decode_predictions(np.zeros(shape))


@pytest.mark.parametrize("top", [0, -1, 1001])
def test_impossible_top_is_refused(top):
    with pytest.raises(ValueError, match="between 1 and 1000"):
        labels.decode_predictions(np.zeros((1, 1000)), top=top)
