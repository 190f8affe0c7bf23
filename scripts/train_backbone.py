"""Trains the small NASNet-A with the ImageNet stem that the package ships as a detector's backbone.

    python scripts/train_backbone.py --folder runs/backbone          # again to resume
    keras-nasnet evaluate nasnet_a_cifar10_64 --data tfds:cifar10     # the shipped file

CIFAR-10 (extra `[data]`) enlarged to 64 pixels: 50,000 training images, 9 epochs, and one look at the 10,000 test
images at the end. It stands in where ImageNet weights cannot be had.
"""

import argparse
from pathlib import Path

from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.training import Recipe, train
from keras_nasnet.zoo.formats import weights_file

NAME = "nasnet_a_cifar10_64"
RECIPE = Recipe(
    NAME,
    variant="nasnet_a_4_1056_imagenet",
    network={"num_blocks": 2, "penultimate_filters": 384, "stem_filters": 32},
    dataset="cifar10",
    image_size=(64, 64),
    augmentation="pad_crop_flip",
    batch=64,
    epochs=9,
    learning_rate=0.1,
    schedule="one_cycle",
    warm_up_epochs=1.0,
    weight_decay=5e-4,
    clip_norm=5.0,
    batch_norm_momentum=0.99,
    seed=0,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/backbone"), help="of the run (default: %(default)s)")
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps its data")
    options = parser.parse_args()
    with reporting_errors():
        result = train(RECIPE, options.folder, data_dir=options.data_dir, resume=True)
        out = options.folder / f"{NAME}.safetensors"
        weights_file.save(result.network, out, dtype="float16")
        print(f"wrote {out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
