"""The measured rules of the house: few rooms on a first page, small files and functions, and imports without circles."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("accountants", "generators", "privkd")
LIBRARY = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]


@pytest.mark.parametrize(("package", "most"), [("accountants", 15), ("privkd", 26)])
def test_the_first_page_of_a_package_stays_short(package, most):
    entries = {path.name for path in (ROOT / package).iterdir()} - {"py.typed", "__pycache__"}
    assert len(entries) <= most, sorted(entries)


def test_files_stay_small():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in LIBRARY}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}
    assert median(lengths.values()) <= 130


def test_functions_stay_small():
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno}": node.end_lineno - node.lineno + 1
        for path in LIBRARY
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "transcribe"  # a list of options
    }
    assert {place: lines for place, lines in lengths.items() if lines > 80} == {}
    assert quantiles(lengths.values(), n=10)[-1] <= 40


def test_no_name_of_a_file_occurs_more_than_twice():
    counts = Counter(path.name for path in LIBRARY if path.name != "__init__.py")
    assert {name: count for name, count in counts.items() if count > 2} == {}


FILE_CALLS = re.compile(
    r"json\.loads?\(|json\.dump\(|os\.(replace|fsync)\(|mkstemp|NamedTemporaryFile|(?<!storage)\.write_(text|bytes)\("
    r"|\bopen\([^)\n]*[\"'][wxa]b?\+?[\"']"
)
OWN_FILES = {
    "accountants/ledger/files.py": "the strict reader and the writer themselves",
    "privkd/plain.py": "a value as it is read again; no file",
    "privkd/trainer/checkpoints/": "a folder that is renamed when it is whole; its tensors may be NaN",
    "privkd/teachers/files/": "weights that safetensors writes are flushed before they get their name",
}


def test_files_are_written_and_json_is_read_in_one_place():
    found = {str(path.relative_to(ROOT)) for path in LIBRARY if FILE_CALLS.search(path.read_text())}
    assert [name for name in sorted(found) if not name.startswith(tuple(OWN_FILES))] == []
    assert "accountants/ledger/files.py" in found


class Imports:
    """Which module imports which, by every import statement: also inside functions and under TYPE_CHECKING.

    A package whose `__init__` hands names on lazily is looked through: who imports a name from it depends on the module that
    defines the name. Another `__init__` is a module like others, and who imports anything from outside below it depends on it.
    """

    def __init__(self, root: Path) -> None:
        self.trees: dict[str, ast.Module] = {}
        for name in PACKAGES:
            for path in sorted((root / name).rglob("*.py")):
                parts = path.relative_to(root).with_suffix("").parts
                self.trees[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text())
        self.packages = {name for name in self.trees if any(other.startswith(f"{name}.") for other in self.trees)}
        self.doors = {name for name in self.packages if "= lazy_door(" in ast.unparse(self.trees[name])}

    def graph(self) -> dict[str, set[str]]:
        modules = self.trees.keys() - self.doors
        return {module: set(self._imported_by(module)) & modules - {module} for module in modules}

    def circle(self) -> list[str]:
        """The modules of one circle in order, the first again at the end; none if there is no circle."""
        try:
            TopologicalSorter(self.graph()).prepare()
        except CycleError as error:
            return error.args[1]
        return []

    def _imported_by(self, module: str) -> Iterator[str]:
        tree = self.trees[module]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert not node.level, f"{module} has an import that begins with a dot"
                found = [home for alias in node.names for home in self._homes(node.module, alias.name)]
            elif isinstance(node, ast.Import):
                found = [home for alias in node.names for home in self._used(tree, alias)]
            else:
                continue
            yield from found
            for home in found:
                above = {name for name in accumulate(home.split("."), "{}.{}".format) if name != home}
                yield from (name for name in above & self.packages if not module.startswith(f"{name}."))

    def _homes(self, module: str, name: str) -> Iterator[str]:
        """The modules that define what `from module import name` gives."""
        if f"{module}.{name}" in self.trees:
            yield f"{module}.{name}"
        elif module not in self.doors:
            yield module
        else:
            for node in ast.walk(self.trees[module]):
                if isinstance(node, ast.ImportFrom):
                    for alias in node.names:
                        if name in ("*", alias.asname or alias.name):
                            yield from self._homes(node.module, alias.name)

    def _used(self, tree: ast.Module, alias: ast.alias) -> Iterator[str]:
        """The modules that define what a file uses of a module that it imports whole."""
        bound = alias.asname or alias.name
        used = {
            node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == bound
        }
        yield alias.name
        for name in sorted(used if alias.name in self.packages else ()):
            yield from self._homes(alias.name, name)


def test_no_modules_import_each_other_in_a_circle():
    imports = Imports(ROOT)
    assert len(imports.graph()) > 250
    assert {"privkd.networks.small", "accountants.check"} <= imports.graph()["privkd.recipes.baselines.classifier"]
    assert not imports.circle(), " -> ".join(imports.circle())


DOOR = "if TYPE_CHECKING:\n    from privkd.b import B as B\n__getattr__, __dir__, __all__ = lazy_door(__name__, {})"


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a": "from privkd.b import B", "b": "B = 1"}, set()),
        ({"a": "from privkd.b import B", "b": "import privkd.a"}, {"a", "b"}),
        ({"a": "from privkd.b import B", "b": "def f():\n    from privkd import a"}, {"a", "b"}),
        ({"a": "from privkd.b import B", "b": "if TYPE_CHECKING:\n    from privkd.a import A"}, {"a", "b"}),
        ({"a": "from privkd.b import B", "b": "import privkd.c", "c": "import privkd.a"}, {"a", "b", "c"}),
        ({"__init__": DOOR, "a": "from privkd import B", "b": "B = 1"}, set()),
        ({"__init__": DOOR, "a": "from privkd import B", "b": "from privkd.a import A"}, {"a", "b"}),
        ({"__init__": DOOR, "a": "import privkd\nx = privkd.B", "b": "from privkd.a import A"}, {"a", "b"}),
        ({"p/__init__": "from privkd.p.q import Q", "p/q": "Q = 1", "a": "from privkd.p.q import Q"}, set()),
        ({"p/__init__": "from privkd.p.q import Q", "p/q": "import privkd.a", "a": "from privkd.p import r", "p/r": ""},
         {"p", "p.q", "a"}),
    ],
)  # fmt: skip
def test_a_circle_that_was_planted_is_found(tmp_path, files, circle):
    for name, text in {"__init__": "", **files}.items():
        path = tmp_path / "privkd" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert set(Imports(tmp_path).circle()) == {f"privkd.{name}" for name in circle}
