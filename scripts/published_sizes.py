"""Prints parameters and multiply-adds of the paper's networks, ours beside the published.

python scripts/published_sizes.py
"""

import datetime
import math

import keras

from keras_nasnet import mult_adds, variant

# Tables 1 to 3 of the paper: parameters in millions, multiply-adds in millions.
PUBLISHED = {
    "nasnet_a_6_768_cifar": ("A 6 @ 768", 3.3, None),
    "nasnet_b_4_1152_cifar": ("B 4 @ 1152", 2.6, None),
    "nasnet_c_4_640_cifar": ("C 4 @ 640", 3.1, None),
    "nasnet_a_4_1056_imagenet": ("A 4 @ 1056", 5.3, 564),
    "nasnet_b_4_1536_imagenet": ("B 4 @ 1536", 5.3, 488),
    "nasnet_c_3_960_imagenet": ("C 3 @ 960", 4.9, 558),
    "nasnet_a_6_4032_imagenet": ("A 6 @ 4032", 88.9, 23800),
}


def main() -> None:
    print(f"counted on {datetime.date.today()} with keras {keras.__version__}; trainable parameters, one image")
    print("| network | parameters | published | multiply-adds | published |")
    print("|---|---|---|---|---|")
    for name, (paper, parameters, adds) in PUBLISHED.items():
        model = variant(name)
        counted = sum(math.prod(weight.shape) for weight in model.trainable_weights) / 1e6
        published_adds = "" if adds is None else f"{adds}M"
        print(f"| {paper} | {counted:.2f}M | {parameters}M | {mult_adds(model) / 1e6:.0f}M | {published_adds} |")


if __name__ == "__main__":
    main()
