"""Started by torchrun in two processes: trains systems one after another, each on the example of its recipe or a part of it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from privkd.recipes import build, train

torch.set_num_threads(1)
systems, out = json.loads(sys.argv[1]), Path(sys.argv[2])
for name, settings in systems.items():
    recipe = build(name, settings)
    trained = train(recipe, recipe.example(), folder=out / name)
    digests = {key: float(sum(p.double().abs().sum() for p in m.parameters())) for key, m in trained.modules.items()}
    (out / f"{name}.{os.environ['RANK']}.json").write_text(json.dumps(digests))
