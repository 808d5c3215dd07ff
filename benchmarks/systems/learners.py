"""Accuracy of the learners from noisy labels, against plain training on majority votes, on LabelMe and on digits.

Usage:  python benchmarks/systems/learners.py --seeds 3 --pages
Takes:  about a minute on one core.   Needs: shared/data/labelme_crowd for the figures on LabelMe, else digits only.
Writes: one JSON line per system and seed, and the table of its page.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from cases import ROOT, main

from privkd.data import Records
from privkd.data.bundled import all_digits
from privkd.data.kinds.crowd import Crowd
from privkd.learners import ForwardCorrection, beta_crowd, majority
from privkd.recipes import build, train

LABELME = Path(os.environ.get("PRIVKD_SHARED", ROOT / "shared")) / "data/labelme_crowd/labelme_crowd.npz"


def labelme() -> tuple[Crowd, Records]:
    """LabelMe's training items with their answers, and its test items."""
    with np.load(LABELME) as file:
        names = tuple(map(str, range(8)))
        answers, inputs, truth = (torch.from_numpy(file[name]) for name in ("answers", "x_train", "y_train"))
        crowd = Crowd.from_dense(answers.long(), "labelme", inputs=inputs, truth=truth, class_names=names)
        return crowd, Records(torch.from_numpy(file["x_test"]), torch.from_numpy(file["y_test"]), "labelme-test", names)


def digits_crowd(seed: int) -> tuple[Crowd, Records]:
    """700 digits with two answers each, and the others to test on."""
    digits, names = all_digits(), tuple(map(str, range(10)))
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))
    inputs, truth = digits.inputs[order], digits.labels[order]
    answers = torch.from_numpy(beta_crowd(truth[:700].numpy(), 10, seed=seed).answers)
    crowd = Crowd.from_dense(answers, "digits", inputs=inputs[:700], truth=truth[:700], class_names=names)
    return crowd, Records(inputs[700:], truth[700:], "digits-test", names)


def right(module: torch.nn.Module, records: Records) -> float:
    """Accuracy."""
    with torch.no_grad():
        return float((module(records.inputs).argmax(dim=1) == records.labels).double().mean())


def dawid_skene(seed: int) -> Mapping[str, Mapping[str, float]]:
    """The recipe, and the same network on majority votes, as one answer each that is taken for the truth."""
    found = {}
    for crowd, test in ([labelme()] if LABELME.is_file() else []) + [digits_crowd(seed)]:
        trained = train(build("dawid-skene"), crowd, seed=seed)
        own = trained.evaluate(crowd)
        found[f"dawid-skene, {crowd.name}"] = {
            "accuracy": right(trained.deployed["network"], test),
            **{name: own[name] for name in ("votes", "answers", "both")},
        }
        plain = ForwardCorrection(epochs=15, batch_size=64, lr=1e-3, seed=seed, classes=crowd.classes)
        plain.fit(crowd.inputs, majority(crowd).labels, channel=np.eye(crowd.classes))
        found[f"majority votes, {crowd.name}"] = {"accuracy": right(plain.model_, test)}
    return found


if __name__ == "__main__":
    main({"dawid-skene": dawid_skene}, script="benchmarks/systems/learners.py", about=__doc__ or "")
