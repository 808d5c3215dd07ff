"""Every system of privkd is complete: page, battery, proof and benchmark case, where a reader looks for them."""

from pathlib import Path

import pytest

from privkd.recipes import family_of
from privkd.recipes.catalogue import BUILT_IN

ROOT = Path(__file__).parents[2]
BASELINES = [name for name in BUILT_IN if family_of(name) == "baselines"]


def missing(name: str, root: Path = ROOT) -> list[str]:
    """What a system lacks."""
    family, file = family_of(name), name.replace("-", "_")
    index, nav = (root / path for path in ("docs/systems/index.md", "mkdocs.yml"))
    wanted = {
        "its recipe": (root / f"privkd/recipes/{family}/{file}.py", f'@register("{name}")'),
        "its page": (root / f"docs/systems/{name}.md", f"# {name}"),
        "its line in the table of systems": (index, f"[{name}]({name}.md) | {family} |"),
        "its entry in the navigation": (nav, f"systems/{name}.md"),
        "the battery": (root / f"tests/recipes/systems/test_{file}_system.py", f'name = "{name}"'),
    }
    if name not in BASELINES:
        wanted["its proof"] = (root / f"tests/proofs/{family}/test_{file}.py", "proof")
        wanted["its case of the benchmark"] = (root / f"benchmarks/systems/{family}.py", f'"{name}"')
    return [what for what, (path, text) in wanted.items() if not path.is_file() or text not in path.read_text()]


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_system_is_complete(name):
    assert missing(name) == []


def test_what_a_system_lacks_is_told(tmp_path):
    assert {"its page", "the battery"} <= set(missing("classifier", tmp_path))
