"""Thirty-odd mistakes that people make: one clear line each, before any work starts."""

import pytest

from tests.commands.running import run_command
from tests.data.image_folders import damage, picture
from tests.finetuning import pictures

TRAIN = "train --experiment digits-smoke --workdir {run}"
FINETUNE = "finetune --weights none --workdir {run} "
PREDICT = "predict {photos}/cat/00.jpg "

# What is typed, and what is said.
MISTAKES = {
    # Of folders.
    FINETUNE + "nowhere": "There is no folder 'nowhere'",
    FINETUNE + "{photos}/cat/00.jpg": "is a file. Expected a folder of photographs",
    FINETUNE + "{empty}": "has no images",
    FINETUNE + "{photos}/cat": "nothing says what their classes are",
    FINETUNE + "{one_class}": "has only one class, 'cat'",
    FINETUNE + "{single}": "have fewer than 2 different images: cat, dog",
    FINETUNE + "{damaged}": "None of the 6 images",
    FINETUNE + "{pdfs}": "has no images, only other files",
    FINETUNE + "{photos} --labels {no_columns}": "names the columns file and label",
    FINETUNE + "{photos} --labels {other_files}": "Is it the table of other",
    FINETUNE + "{photos} --labels {a_class_each}": "8 of the 8 classes in",
    FINETUNE + "gs://bucket/photos": "is not on this machine",
    # Of numbers and names.
    FINETUNE + "{photos} --minutes 0": "minutes must be a number above 0",
    FINETUNE + "{photos} --minutes nan": "minutes must be a number above 0",
    FINETUNE + "{photos} --image_size 8": "a whole number, at least 32. Received: 8",
    FINETUNE + "{photos} --epochs -1": "a whole number, at least 1. Received: -1",
    FINETUNE + "{photos} --variant resnet50": "'resnet50'. Expected one of",
    FINETUNE + "{photos} --strategy mirrored": "TensorFlow finds none here",
    TRAIN + " --strategy mirrored": "TensorFlow finds none here",
    TRAIN + " --set epoch=3": "No setting is called 'epoch'. Close to it: epochs",
    TRAIN + " --set epochs=three": "at least 1. Received: 'three'",
    TRAIN + " --set data.num_classes=7": "Leave it out, or set data.num_classes=10",
    TRAIN.replace("digits-smoke", "digit"): "'digit'. Close to it: digits",
    TRAIN.replace("{run}", "{photos}/cat/00.jpg"): "Choose another --workdir",
    "train --experiment imagenet-s --workdir {run}": "--set data.directory=FOLDER",
    "evaluate --workdir {empty}": "is not the work folder of a run",
    # Of images and weights.
    "predict nowhere.jpg --variant efficientnetv2-b0": "no file or folder nowhere.jpg",
    PREDICT + "--variant efficientnetv3": "Close to it: efficientnetv2-",
    PREDICT + "--model nowhere.keras": "There is no file or folder nowhere.keras",
    PREDICT + "--model {pdfs}/cat/00.pdf": "is not a model. Expected a .keras file",
    PREDICT + "--model {network} --workdir {run}": "Leave out --model, or --workdir",
    PREDICT + "--model {network} --format xlsx": "choose from",
    PREDICT + "--model {network} --output gs://b/x.csv": "local files and folders",
    "explain nowhere.jpg --model {network} --output {run}.png": "nowhere.jpg",
    "similar {photos}/cat/00.jpg --among {empty} --model {network}": "without images",
    "export saved_model --weights {network} --output {photos}": "is not an export",
    "export litert --weights {network} --output {run} --format int8": "--images or",
    "export jpeg --weights {network} --output {run}": "choose from",
    "convert nowhere.ckpt {run}.weights.h5": "There is no file or folder nowhere.ckpt",
}


@pytest.fixture(scope="module")
def places(tmp_path_factory, network):
    """Folders and files with something wrong, by name."""
    top = tmp_path_factory.mktemp("places")
    counts = {"cat": 3, "dog": 3}
    pictures.write(top / "photos", counts)
    pictures.write(top / "one_class", {"cat": 6})
    pictures.write(top / "single", {"cat": 1, "dog": 1})
    for path in pictures.write(top / "damaged", counts).rglob("*.jpg"):
        damage(path)
    (top / "empty").mkdir()
    (top / "pdfs" / "cat").mkdir(parents=True)
    (top / "pdfs" / "cat" / "00.pdf").write_bytes(b"%PDF-1.7\n")
    (top / "no_columns").write_text("00.jpg,cat\n")
    (top / "other_files").write_text("file,label\nb/1.jpg,bird\nb/2.jpg,owl\n")
    for number in range(8):
        picture(number).save(top / f"{number}.png")
    rows = [f"{number}.png,{number}" for number in range(8)]
    (top / "a_class_each").write_text("\n".join(["file,label", *rows]))
    found = {path.name: path for path in top.iterdir()}
    return found | {"network": network, "top": top}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(words, places, tmp_path, capfd):
    run = tmp_path / "run"
    argv = words.format(run=run, **places).split()
    try:
        code = run_command(*argv)
    except SystemExit as stop:
        code = stop.code
    errors = capfd.readouterr().err.strip().splitlines()
    said = [line for line in errors if "error: " in line]
    assert code == 2 and len(said) == 1 and errors[-1] == said[0]
    assert MISTAKES[words] in said[0]
    assert not [*tmp_path.rglob("*.keras"), *tmp_path.rglob("metrics.jsonl")]
