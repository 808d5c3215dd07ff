"""key=value texts become a frozen config, or one message that says all that is wrong."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privkd.recipes import configure
from privkd.recipes.config import described


@dataclass(frozen=True, kw_only=True)
class Settings:
    epochs: int = 20
    lr: float = 2e-3
    augment: bool = False
    name: str = "skd"
    size: tuple[int, int] = (8, 8)
    widths: tuple[int, ...] = (64,)
    weight: Optional[float] = None  # noqa: UP045 - the older form is read too
    depth: int | None = 2
    loss: Literal["l1", "l2", 3] = "l2"
    schedule: Any = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs={self.epochs} must be >= 1")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("epochs=3", 3),
        ("epochs = 60_000", 60_000),
        ("lr=1e-4", 1e-4),
        ("lr=1", 1.0),
        ("augment=true", True),
        ("augment=No", False),
        ("name=a=b", "a=b"),
        ("name=", ""),
        ("size=16, 8", (16, 8)),
        ("widths=32", (32,)),
        ("widths=32,16,8", (32, 16, 8)),
        ("widths=", ()),
        ("weight=0.5", 0.5),
        ("weight=none", None),
        ("depth=None", None),
        ("loss=l1", "l1"),
        ("loss=3", 3),
    ],
)
def test_a_text_becomes_a_value_of_the_annotated_type(text, value):
    name = text.split("=")[0].strip()
    made = getattr(configure(Settings, [text]), name)
    assert made == value
    assert type(made) is type(value)


def test_what_is_not_set_keeps_its_default():
    made = configure(Settings, ["epochs=3"])
    assert {**asdict(made), "epochs": 20} == asdict(Settings()) == asdict(configure(Settings))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epochs=3.0", "epochs='3.0' must be a whole number"),
        ("epochs=", "epochs='' must be a whole number"),
        ("epochs=none", "epochs='none' must be a whole number"),
        ("lr=fast", "lr='fast' must be a finite number"),
        ("lr=nan", "lr='nan' must be a finite number"),
        ("lr=inf", "lr='inf' must be a finite number"),
        ("augment=2", "augment='2' must be true or false"),
        ("size=8", "size='8' must be 2 values"),
        ("size=8,8,8", "size='8,8,8' must be 2 values"),
        ("widths=8,,8", "widths='8,,8' must be a list, each a whole number"),
        ("depth=1.5", "depth='1.5' must be a whole number, or none"),
        ("loss=l3", "loss='l3' must be one of l1, l2, 3"),
        ("epochs", "'epochs' is not of the form key=value"),
        ("epoch=3", "'epoch' is no setting; did you mean 'epochs'?"),
        ("Lr=3", "'Lr' is no setting; did you mean 'lr'?"),
        ("epochs=0", "epochs=0 must be >= 1"),
    ],
)
def test_a_bad_setting_is_refused_with_field_value_and_what_is_allowed(text, told):
    with pytest.raises(ValueError, match=r"Settings|>= 1") as refused:
        configure(Settings, [text])
    assert told in str(refused.value)


def test_all_bad_settings_are_told_at_once():
    with pytest.raises(ValueError, match="Settings") as refused:
        configure(Settings, ["epochs=x", "epoch=3", "lr=y", "name=a", "name=b"])
    for told in ("epochs='x'", "'epoch'", "lr='y'", "'name' is set twice"):
        assert told in str(refused.value)


def test_a_type_that_no_text_gives_is_refused_only_when_it_is_set():
    with pytest.raises(TypeError, match=r"Settings\.schedule has the type .*set it in Python"):
        configure(Settings, ["schedule=linear"])
    assert configure(Settings, ["lr=1"]).schedule is None


def test_settings_are_described_in_order_in_words():
    rows = described(Settings)
    assert rows[0] == ("epochs", "20", "a whole number")
    assert ("widths", "64", "a list, each a whole number") in rows
    assert rows[-1] == ("schedule", "None", "in Python only")


@given(
    epochs=st.integers(1, 10**9), lr=st.floats(allow_nan=False, allow_infinity=False), widths=st.lists(st.integers())
)
def test_what_python_prints_is_read_back(epochs, lr, widths):
    texts = [f"epochs={epochs}", f"lr={lr!r}", f"widths={','.join(map(str, widths))}"]
    made = configure(Settings, texts)
    assert (made.epochs, made.lr, made.widths) == (epochs, lr, tuple(widths))
