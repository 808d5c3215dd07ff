"""Networks from files: what is described as data is built again, no larger than its weights; the caller builds the rest."""

import json
import os
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from privkd.errors import CheckpointError
from privkd.networks import VectorNetwork
from privkd.storage import sha256_of
from privkd.teachers import InputSpec, load_teacher, save_teacher
from privkd.teachers.files.description import Description

pytestmark = pytest.mark.filterwarnings("ignore:.*no file can describe as data")


class Foreign(nn.Module):
    """A class that privkd does not build itself."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 3))

    def forward(self, x):
        return self.body(x)


def saved(folder: Path, module: nn.Module | None = None, **options) -> Path:
    torch.manual_seed(0)
    return save_teacher(VectorNetwork(4, 3) if module is None else module, folder / "t.safetensors", **options)


def edit(path: Path, **changes) -> None:
    description = path.with_suffix(".json")
    description.write_text(json.dumps({**json.loads(description.read_text()), **changes}))


def images_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same", bias=False),
        nn.GroupNorm(2, 4),
        nn.LeakyReLU(0.2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Sequential(nn.Flatten(), nn.LayerNorm(36, bias=False), nn.Dropout(0.3)),
        nn.Linear(36, 3),
    )


def test_sequential_of_common_layers_comes_back_from_its_file_alone(tmp_path):
    network = images_network().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = saved(tmp_path, network, inputs=InputSpec((1, 5, 5)))
    loaded = load_teacher(path)
    x = torch.rand(3, 1, 5, 5)
    assert torch.equal(loaded(x), network(x))
    assert repr(loaded) == repr(network)
    assert torch.equal(load_teacher(path, module=images_network())(x), network(x))
    with pytest.raises(CheckpointError, match="no weights were read"):
        load_teacher(path, module=images_network()[:-1])


def hooked() -> nn.Module:
    layer = nn.Linear(4, 3)
    layer.register_forward_hook(lambda module, given, output: output + 1)
    return nn.Sequential(layer)


def tied() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight.data = network[0].weight.data
    return network


@pytest.mark.parametrize(
    "network",
    [
        Foreign(),
        nn.Sequential(Foreign()),
        nn.Linear(4, 3),
        nn.Sequential(nn.MaxPool1d(2)),
        nn.Sequential(nn.MaxPool2d(2, return_indices=True)),
        nn.Sequential(nn.Conv2d(1, 2, 3, padding_mode="circular")),
        nn.Sequential(nn.Linear(4, 3).double()),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))),
        hooked(),
        tied(),
    ],
    ids=lambda network: type(network).__name__,
)
def test_network_that_a_file_cannot_build_again_is_saved_with_a_warning_that_names_the_way_out(network, tmp_path):
    with pytest.warns(UserWarning, match=r"model='module:function'.*--model module:function"):
        path = saved(tmp_path, network)
    with pytest.raises(CheckpointError, match=r"no weights were read.*--model module:function"):
        load_teacher(path)


def test_network_of_an_own_class_is_built_by_a_function_of_the_caller(tmp_path, monkeypatch):
    path = saved(tmp_path, Foreign(), inputs=InputSpec((4,)))
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\ndef layer():\n    return nn.Linear(4, 3)\ndef number():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_teacher(path, model=Foreign), Foreign)
    plain = save_teacher(nn.Linear(4, 3), tmp_path / "plain.safetensors")
    loaded = load_teacher(plain, model="own_networks:layer")
    assert torch.equal(loaded.weight, load_teacher(plain, module=nn.Linear(4, 3)).weight)
    with pytest.raises(CheckpointError, match="no weights were read"):
        load_teacher(path, model="own_networks:layer")
    with pytest.raises(CheckpointError, match="does not fit Foreign"):
        load_teacher(path, model=lambda: Foreign(6))
    with pytest.raises(TypeError, match="built a int"):
        load_teacher(path, model="own_networks:number")
    with pytest.raises(TypeError, match="use module="):
        load_teacher(path, model=Foreign())
    with pytest.raises(ValueError, match="not of the form"):
        load_teacher(path, model="own_networks.py")
    with pytest.raises(ValueError, match="give one of them"):
        load_teacher(path, model=Foreign, module=Foreign())
    with pytest.raises(ValueError, match="model= goes with"):
        load_teacher("own_networks:layer", model=Foreign)
    sys.modules.pop("own_networks")


def test_class_of_the_main_program_is_the_class_of_that_name(tmp_path):
    path = saved(tmp_path, Foreign())
    edit(path, **{"class": "__main__:Foreign"})
    assert load_teacher(path, model=Foreign) is not None
    for other in ("__main__:Other", "elsewhere:Foreign"):
        edit(path, **{"class": other})
        with pytest.raises(CheckpointError, match="no weights were read"):
            load_teacher(path, model=Foreign)


LINEAR = {"in_features": 4, "out_features": 3, "bias": True}


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (3, "no weights were read"),
        ([3], "no weights were read"),
        ([{"name": "0", "layer": "Linear"}], "needs exactly"),
        ([{"name": "0", "layer": "Linear", "settings": {**LINEAR, "device": "cuda"}}], "needs exactly"),
        ([{"name": "0", "layer": "Lambda", "settings": {}}], "'Lambda' is unknown"),
        ([{"name": "0", "layer": ["Linear"], "settings": LINEAR}], "is unknown"),
        ([{"name": "a.b", "layer": "Tanh", "settings": {}}], "cannot have the name"),
        ([{"name": "forward", "layer": "Tanh", "settings": {}}], "cannot have the name"),
        ([{"name": "0", "layer": "Linear", "settings": {**LINEAR, "in_features": 10**9}}], "numbers, the file holds"),
        (
            [{"name": "0", "layer": "Linear", "settings": {**LINEAR, "in_features": 10**19}}],
            "no weights were read",
        ),
        ([{"name": "0", "layer": "Linear", "settings": {**LINEAR, "in_features": "4"}}], "no weights were read"),
        ([{"name": "0", "layer": "AdaptiveAvgPool2d", "settings": {"output_size": [10**6, 1]}}], "above 4096"),
        ([{"name": "0", "layer": "Linear", "settings": {**LINEAR, "out_features": 0}}], "no weights were read|not fit"),
        ([{"name": "0", "layer": "Tanh", "settings": {}}] * 2, "another one has already"),
    ],
)
def test_impossible_layers_are_refused(layers, says, tmp_path):
    path = saved(tmp_path, nn.Sequential(nn.Linear(4, 3)))
    edit(path, settings={"layers": layers})
    with pytest.raises(CheckpointError, match=says):
        load_teacher(path)


def test_layer_that_divides_by_zero_is_refused(tmp_path):
    path = saved(tmp_path, nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten()), inputs=InputSpec((1, 2, 2)))
    description = json.loads(path.with_suffix(".json").read_text())
    description["settings"]["layers"][0]["settings"]["stride"] = [0, 0]
    path.with_suffix(".json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match=r"cannot answer|do not fit"):
        load_teacher(path)


def test_layers_nested_without_end_are_refused(tmp_path):
    path = saved(tmp_path, nn.Sequential(nn.Linear(4, 3)))
    inner = "[" + '{"name": "0", "layer": "Sequential", "layers": [' * 20_000 + "]}" * 20_000 + "]"
    text = path.with_suffix(".json").read_text()
    start, end = text.index('"settings"'), text.index('"inputs"')
    path.with_suffix(".json").write_text(f'{text[:start]}"settings": {{"layers": {inner}}}, {text[end:]}')
    with pytest.raises(CheckpointError):
        load_teacher(path)


@pytest.fixture
def nothing_is_allocated(monkeypatch):
    """Layers may be built on the meta device only, which knows shapes and holds no numbers."""
    filled = nn.Linear.reset_parameters

    def reset(layer):
        assert layer.weight.is_meta, "a layer of the untrusted size was allocated"
        filled(layer)

    monkeypatch.setattr(nn.Linear, "reset_parameters", reset)


@pytest.mark.parametrize(
    "settings",
    [
        {"features": 4, "classes": 3, "hidden": 1000, "layers": 3},
        {"features": 900, "classes": 900, "hidden": 900, "layers": 1},
        {"features": 4, "classes": 3, "hidden": 1, "layers": 10**9},
        {"features": 10**12, "classes": 3, "hidden": 10**12, "layers": 1},
    ],
)
def test_network_larger_than_its_weights_is_refused_before_anything_is_allocated(
    settings, tmp_path, nothing_is_allocated
):
    with torch.device("meta"):  # the fixture holds for this test, too
        outline = VectorNetwork(4, 3)
    path = tmp_path / "t.safetensors"
    numbers = {name: torch.zeros(value.shape) for name, value in outline.state_dict().items()}
    save_file(numbers, path)
    description = Description(kind="vector-network", settings=settings, inputs=None, classes=3, sha256=sha256_of(path))
    path.with_suffix(".json").write_text(description.text())
    with pytest.raises(CheckpointError, match="no weights were read"):
        load_teacher(path)


def test_inputs_and_layers_that_would_fill_the_memory_are_refused(tmp_path):
    path = saved(tmp_path)
    edit(path, inputs={"shape": [10**10]})
    with pytest.raises(CheckpointError, match="more than 16777216 numbers"):
        load_teacher(path)
    grows = nn.Sequential(nn.Conv2d(1, 16, 1), nn.AdaptiveAvgPool2d(4096), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    path = saved(tmp_path / "grows", grows)
    assert load_teacher(path) is not None
    edit(path, inputs={"shape": [1, 8, 8]}, classes=16)
    with pytest.raises(CheckpointError, match="AdaptiveAvgPool2d would return 536870912 numbers"):
        load_teacher(path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["t.safetensors", "t.json", "t.pt", "t.pt2"])
def test_pipes_and_folders_in_place_of_files_are_refused_without_waiting(name, tmp_path):
    path = saved(tmp_path)
    for make in (os.mkfifo, os.mkdir):
        place = tmp_path / name
        if place.is_file() or place.is_fifo():
            place.unlink()
        make(place)
        source = place if name != "t.json" else path
        with pytest.raises(CheckpointError, match=r"no regular file|folder without"):
            load_teacher(source, trust_program=True)
