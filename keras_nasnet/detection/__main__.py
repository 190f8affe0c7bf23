"""The Model Garden's own training driver, with NASNet registered.

    python -m keras_nasnet.detection --experiment=fasterrcnn_nasnetfpn_coco --mode=train_and_eval \\
        --model_dir=FOLDER --config_file=own.yaml --params_override=task.model.num_classes=91

Takes the flags of `official.vision.train`; see the Garden's documentation.
"""

import sys

from keras_nasnet.common.terminal import say


def main() -> None:
    """Run the driver on the flags of the command line."""
    try:
        import keras_nasnet.detection.garden.experiments  # noqa: F401 (its import registers them)
    except ValueError as error:
        say(f"Error: {error}")
        sys.exit(2)
    from absl import app, flags
    from official.common import flags as garden_flags
    from official.vision import train

    garden_flags.define_flags()
    flags.mark_flags_as_required(["experiment", "mode", "model_dir"])
    app.run(train.main)


if __name__ == "__main__":
    main()
