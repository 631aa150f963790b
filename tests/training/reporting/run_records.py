"""Records of a run that never was, for tests of what shows them."""

from keras_effnetv2.training.progressive.stages import Ramp, plan_stages

STAGES = plan_stages(
    epochs=6, num_stages=3, image_size=Ramp(16, 32), batch_size=10,
    randaugment_magnitude=Ramp(5, 15), dropout_rate=Ramp(0.1, 0.3),
)  # fmt: skip
STEPS_PER_EPOCH = (5, 5, 5)


def make_record(epoch, **changes):
    """Of the epoch, from 1, with an evaluation after every second one."""
    stage = next(stage for stage in STAGES if epoch <= stage.end_epoch)
    record = {
        "epoch": epoch,
        "step": 5 * epoch,
        "stage": stage.index + 1,
        "image_size": stage.image_size,
        "batch_size": stage.batch_size,
        "randaugment_magnitude": stage.randaugment_magnitude,
        "mixup_alpha": stage.mixup_alpha,
        "cutmix_alpha": stage.cutmix_alpha,
        "dropout_rate": stage.dropout_rate,
        "drop_path_rate": stage.drop_path_rate,
        "learning_rate": 0.01,
        "loss": 1 / epoch,
        "accuracy": epoch / 10,
        "seconds": 10.0 * (stage.index + 1),
        "images_per_second": 5 / (stage.index + 1),
    }
    if epoch % 2 == 0:
        record |= {
            "eval_loss": 0.5 / epoch,
            "eval_accuracy": 0.5 + epoch / 20,
            "eval_top5_accuracy": 0.9,
        }
    return record | changes
