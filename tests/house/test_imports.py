"""The house rules that a machine can check: lazy doors, one place for noise, floors."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = [path for name in ("privkd", "accountants", "generators") for path in sorted((ROOT / name).rglob("*.py"))]
DOORS = [
    "accountants",
    "privkd",
    "privkd.data",
    "privkd.data.degradations",
    "privkd.data.procedural",
    "privkd.federation",
    "privkd.learners",
    "privkd.losses",
    "privkd.mechanisms",
    "privkd.metrics",
    "privkd.networks",
    "privkd.networks.pretrained",
    "privkd.networks.scattering",
    "privkd.private_training",
    "privkd.recipes",
    "privkd.report",
    "privkd.teachers",
    "privkd.tracking",
    "privkd.trainer",
    "privkd.transcription",
]
HEAVY = ("torch", "sklearn", "matplotlib", "scipy.stats", "accelerate", "PIL", "timm", "transformers")


def loaded_by(code: str) -> list[str]:
    """Heavy modules that a fresh interpreter has loaded after running the code."""
    probe = f"{code}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT, check=True)
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


def test_importing_loads_nothing_heavy():
    assert loaded_by("\n".join(f"import {door}" for door in [*DOORS, "privkd.accountants"])) == []


def test_help_loads_nothing_heavy_and_the_probe_can_fail():
    run_help = (
        "import sys; sys.argv = ['privkd', '--help']\nfrom privkd.cli import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code"
    )
    assert loaded_by(run_help) == []
    assert "torch" in loaded_by("import privkd.data\nprivkd.data.load")


@pytest.mark.parametrize("name", DOORS)
def test_what_a_lazy_door_hands_out_is_what_type_checkers_see(name):
    module = importlib.import_module(name)
    block = [node for node in ast.parse(Path(module.__file__).read_text()).body if isinstance(node, ast.If)][-1]
    typed = {alias.asname: node.module for node in block.body for alias in node.names}
    assert sorted(typed) == module.__all__
    for public, home in typed.items():
        assert getattr(module, public) is getattr(importlib.import_module(home), public)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"no attribute 'nonsense'; public names: .*{module.__all__[-1]}"):
        assert module.nonsense
    hidden = {module.name for module in pkgutil.iter_modules(module.__path__)} & set(module.__all__)
    assert not hidden, "a file of this name would hide it"


def test_every_package_with_a_lazy_door_is_tested():
    found = {
        ".".join(path.relative_to(ROOT).parent.parts)
        for path in LIBRARY
        if path.name == "__init__.py" and "= lazy_door(" in path.read_text()
    }
    assert found == set(DOORS)


@pytest.mark.parametrize("name", ["accountants", "generators"])
def test_doors_hand_out_the_same_objects(name):
    door, real = importlib.import_module(f"privkd.{name}"), importlib.import_module(name)
    for public in real.__all__:
        assert getattr(door, public) is getattr(real, public)


SAMPLERS = re.compile(
    r"\b(os\.urandom|laplace\(|\.normal\(|\.normal_\(|torch\.normal|default_rng|SystemRandom|np\.random\.)"
)
ALLOWED = {
    "privkd/mechanisms/noise.py": "the noise source itself",
    "privkd/mechanisms/histograms.py": "mechanisms draw from it",
    "privkd/mechanisms/sums.py": "mechanisms draw from it",
    "privkd/mechanisms/gradient_noise.py": "mechanisms draw from it",
    "privkd/mechanisms/pate_cost.py": "mechanisms draw from it",
    "privkd/data/bundled.py": "public split of public data",
    "privkd/federation/partition.py": "which rows a simulated client holds out, from a given seed",
    "privkd/federation/partitioning.py": "which rows a simulated client has, from a given seed",
    "privkd/metrics/pairs.py": "which rows an evaluation compares, from a given seed",
    "privkd/metrics/verification.py": "which fold an evaluation puts a pair in, from a given seed",
    "privkd/trainer/seeding.py": "global states of other libraries, put back after use",
}


def test_noise_is_drawn_only_in_mechanisms():
    found = {
        str(path.relative_to(ROOT))
        for path in LIBRARY
        if SAMPLERS.search(re.sub(r'"""[\s\S]*?"""', "", path.read_text()))
    }
    assert found == set(ALLOWED)


def test_every_release_in_mechanisms_charges_before_it_draws():
    """In the source of each `release`, ledger.charge stands before the first use of noise, or it delegates."""
    checked = 0
    for path in (ROOT / "privkd" / "mechanisms").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.FunctionDef) and node.name == "release"):
                continue
            calls = [ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)]
            ordered = sorted(
                ((n.lineno, n.col_offset, ast.unparse(n)) for n in ast.walk(node) if isinstance(n, ast.Call)),
            )
            draws = [i for i, (_, _, text) in enumerate(ordered) if "noise.normal" in text or "respond(" in text]
            charges = [
                i for i, (_, _, text) in enumerate(ordered) if text.startswith(("ledger.charge(", "charge_all("))
            ]
            delegates = any(call.endswith(".release") for call in calls)
            assert delegates or (charges and draws and charges[0] < draws[0]), f"{path.name}:{node.lineno}"
            checked += 1
    assert checked >= 6


def test_library_code_never_prints_nor_unpickles():
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name != "print", f"{path}:{node.lineno}"
                assert name not in ("pickle.load", "pickle.loads", "torch.load", "eval", "exec"), (
                    f"{path}:{node.lineno}"
                )
                if name.startswith("cloudpickle.load"):  # of what this program's own worker processes send
                    assert path.name == "transport.py", f"{path}:{node.lineno}"


def public_classes() -> dict[str, type]:
    found = {}
    for path in (path for path in LIBRARY if path.name != "__main__.py"):
        module = importlib.import_module(
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        )
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == module.__name__ and not kind.__name__.startswith("_"):
                found[f"{module.__name__}.{kind.__name__}"] = kind
    return found


def test_every_public_method_is_documented_by_itself_or_by_the_one_that_it_overrides_or_by_a_protocol():
    classes = public_classes()
    protocols = [kind for kind in classes.values() if getattr(kind, "_is_protocol", False)]
    promised = {name for kind in protocols for name in vars(kind) if inspect.getdoc(getattr(kind, name))}
    bare = [
        f"{place}.{name}"
        for place, kind in classes.items()
        for name, member in vars(kind).items()
        if not name.startswith("_") and (inspect.isroutine(member) or isinstance(member, property))
        if name not in promised and not inspect.getdoc(getattr(kind, name))
    ]
    assert not bare
