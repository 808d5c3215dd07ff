"""Real data that comes with the install: scikit-learn's handwritten digits."""

from dataclasses import dataclass

import numpy as np
import torch

from privkd.data.records import Records

_CLASS_NAMES = tuple("0123456789")


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint parts of one data set, in the roles that private learning needs.

    Attributes:
        private: labelled records to protect.
        public: unlabelled records that anyone may see.
        test: labelled records for the final figure only.
    """

    private: Records
    public: Records
    test: Records


def digits(*, seed: int = 0, private: int = 1100, public: int = 400, image: bool = False) -> Split:
    """Handwritten digits, 8x8 pixels, 1797 records, ten classes, split three ways.

    The parts are disjoint and together are the whole set. The labels of the public part are withheld (None):
    in the setting that this imitates, nobody has them.

    Args:
        seed: seed of the permutation (numpy `default_rng`); one seed gives one split.
        private: number of private records, >= 1.
        public: number of public records, >= 1.
        image: shape (n, 1, 8, 8) instead of (n, 64).

    Returns:
        Parts with `private`, `public` and 1797 - private - public records; inputs in [0, 1].

    Raises:
        TypeError: seed, private or public is not an integer, or image not a boolean.
        ValueError: seed is negative, a part is empty, or no test record is left.

    Source: scikit-learn `load_digits`, the test part of UCI "Optical Recognition of Handwritten Digits"
    (Alpaydin, Kaynak 1998).

    Example:
        >>> split = digits()
        >>> len(split.private), len(split.public), len(split.test)
        (1100, 400, 297)
    """
    for name, value, smallest in (("seed", seed, 0), ("private", private, 1), ("public", public, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name}={value!r} must be an integer")
        if value < smallest:
            raise ValueError(f"{name}={value} must be >= {smallest}")
    if not isinstance(image, bool):
        raise TypeError(f"image={image!r} must be True or False")
    whole = all_digits(image=image)
    if private + public >= len(whole):
        raise ValueError(
            f"private={private} and public={public} leave no test record of {len(whole)}; their sum must be "
            f"<= {len(whole) - 1}"
        )
    order = np.random.default_rng(seed).permutation(len(whole))
    chosen = whole.take(order[private : private + public])
    return Split(
        private=whole.take(order[:private]),
        public=Records(chosen.inputs, None, chosen.name, chosen.class_names),
        test=whole.take(order[private + public :]),
    )


def all_digits(*, image: bool = False) -> Records:
    """All 1797 digits with their labels, in the order of scikit-learn.

    Args:
        image: shape (1797, 1, 8, 8) instead of (1797, 64).

    Returns:
        Inputs in [0, 1], i.e. grey levels 0 to 16 divided by 16 (exact in float32).
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    inputs = torch.from_numpy((pixels / 16).astype(np.float32))
    if image:
        inputs = inputs.reshape(-1, 1, 8, 8)
    return Records(inputs, torch.from_numpy(labels.astype(np.int64)), "digits", _CLASS_NAMES)
