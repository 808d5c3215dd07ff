"""Orders by classes: what a batch holds, that any step can be asked for, that processes share it, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset
from trainer.tasks import Plain

from privkd.errors import CheckpointError
from privkd.private_training import PrivateGradients
from privkd.trainer import Beside, Stage, Trainer, balanced, episodes, identities
from privkd.trainer.batches.ordering import cycled, shuffles
from privkd.trainer.seeding import generator_of, mixed

COUNTS = (40, 9, 3, 1)
LABELS = torch.tensor([label for label, count in enumerate(COUNTS) for _ in range(count)] + [-1] * 5)[
    torch.randperm(sum(COUNTS) + 5, generator=torch.Generator().manual_seed(0))
]


def rows_of(order, labels=LABELS, *, given=None, default=8, seed=0, process=(0, 1)):
    size = order.rows_per_step(given, default)
    return order.over(order.groups({"label": labels}, len(labels)), size, seed, process)


ORDERS = {
    "balanced": balanced("label"),
    "identities": identities("label", people=4, faces=2),
    "episodes": episodes("label", ways=2, shots=1, queries=2),
}
EPISODE_LABELS = torch.arange(4).repeat(10)


@pytest.mark.parametrize("name", ORDERS)
def test_any_step_can_be_asked_for_directly_and_depends_on_the_seed_alone(name):
    labels = EPISODE_LABELS if name == "episodes" else LABELS
    first, again, other = (rows_of(ORDERS[name], labels, seed=seed) for seed in (0, 0, 1))
    steps = 3 * first.steps_per_epoch + 1
    in_order = [first.at(step) for step in range(steps)]
    for step in (*reversed(range(steps)), 0, steps - 1):
        assert torch.equal(again.at(step), in_order[step])
    assert not all(torch.equal(other.at(step), rows) for step, rows in enumerate(in_order))
    assert not torch.equal(in_order[0], in_order[first.steps_per_epoch])  # a fresh order in every pass
    assert all(rows.dtype == torch.int64 and (labels[rows] >= 0).all() for rows in in_order)


@pytest.mark.parametrize("name", ORDERS)
def test_processes_share_what_one_process_has(name):
    order, labels, given = ORDERS[name], LABELS, None
    if name == "episodes":
        labels, given = EPISODE_LABELS, 2 * order.rows_of_episode
    whole = rows_of(order, labels, given=given)
    halves = [rows_of(order, labels, given=given, process=(rank, 2)) for rank in (0, 1)]
    for step in (0, 1, whole.steps_per_epoch):
        parts = [half.at(step) for half in halves]
        assert len(parts[0]) == len(parts[1])
        assert torch.equal(torch.cat(parts), whole.at(step))
    if name == "identities":  # each process has whole ones
        assert [len(labels[part].unique()) for part in parts] == [2, 2]


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    size=st.integers(1, 20),
    seed=st.integers(0, 2**62),
)
def test_balanced_classes_and_their_rows_come_equally_often(counts, size, seed):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    order = rows_of(balanced("label"), labels, default=size, seed=seed)
    size = min(size, sum(counts))
    assert order.steps_per_epoch == sum(counts) // size
    rows = torch.cat([order.at(step) for step in range(order.steps_per_epoch)])
    assert len(rows) == order.steps_per_epoch * size
    for end in range(1, len(rows) + 1):  # within one in every stretch from the start
        seen = labels[rows[:end]].bincount(minlength=len(counts))
        assert int(seen.max() - seen.min()) <= 1
    for label in range(len(counts)):
        times = rows.bincount(minlength=len(labels))[labels == label]
        assert int(times.max() - times.min()) <= 1


def test_a_plain_order_is_not_balanced():
    task = Labels()
    Trainer(epochs=1, batch_size=8).run([Stage("plain", task, data())])
    labels = torch.cat(task.labels)
    seen = labels[labels >= 0].bincount(minlength=4)
    assert int(seen.max() - seen.min()) > 20


def slow_balanced(groups, size, steps, generator):
    """The same pass, class by class and row by row."""
    turns = [int(one) for order in shuffles(-(-steps * size // len(groups)), len(groups), generator) for one in order]
    turns, queues = turns[: steps * size], []
    for number, group in enumerate(groups):
        queues.append(cycled(group, turns.count(number), generator).tolist())
    return [queues[number].pop(0) for number in turns]


def slow_identities(groups, people, faces, steps, generator):
    per_round = len(groups) // people
    batches = []
    for order in shuffles(-(-steps // per_round), len(groups), generator).tolist():
        batches += [order[place * people : (place + 1) * people] for place in range(per_round)]
    batches, queues = batches[:steps], []
    for number, group in enumerate(groups):
        times, queue = sum(batch.count(number) for batch in batches), []
        if len(group) >= faces:
            chunks = len(group) // faces
            for order in shuffles(-(-times // chunks), len(group), generator).tolist():
                queue += [order[place * faces : (place + 1) * faces] for place in range(chunks)]
        else:
            repeats = -(-faces // len(group))
            orders = shuffles(times * repeats, len(group), generator).tolist()
            for time in range(times):
                rows = [row for order in orders[time * repeats : (time + 1) * repeats] for row in order]
                queue.append(rows[:faces])
        queues.append([[int(group[place]) for place in chunk] for chunk in queue])
    return [row for batch in batches for number in batch for row in queues[number].pop(0)]


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_passes_are_those_of_slow_twins(epoch):
    generator = generator_of(mixed(7, epoch))
    order = rows_of(balanced("label"), seed=7)
    groups = balanced("label").groups({"label": LABELS}, len(LABELS))
    steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
    slow = slow_balanced(groups, 8, len(steps), generator)
    assert torch.cat([order.at(step) for step in steps]).tolist() == slow
    order = rows_of(identities("label", people=3, faces=2), seed=7)
    steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
    slow = slow_identities(groups, 3, 2, len(steps), generator_of(mixed(7, epoch)))
    assert torch.cat([order.at(step) for step in steps]).tolist() == slow


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 12), min_size=3, max_size=9),
    people=st.integers(1, 3),
    faces=st.integers(1, 5),
    seed=st.integers(0, 2**62),
)
def test_identities_are_different_people_with_as_many_faces(counts, people, faces, seed):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)) * 7
    order = rows_of(identities("label", people=people, faces=faces), labels, seed=seed)
    assert order.steps_per_epoch == max(1, sum(counts) // (people * faces))
    for step in range(2 * order.steps_per_epoch):
        rows = order.at(step).unflatten(0, (people, faces))
        assert (labels[rows] == labels[rows[:, :1]]).all()
        assert len(labels[rows[:, 0]].unique()) == people
        for block in rows:
            count = counts[int(labels[block[0]]) // 7]
            times = block.unique(return_counts=True)[1]
            assert len(times) == min(count, faces)
            assert int(times.max() - times.min()) <= 1


@settings(max_examples=40, deadline=None)
@given(
    ways=st.integers(1, 4),
    shots=st.integers(1, 3),
    queries=st.integers(0, 3),
    many=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_episodes_are_different_classes_with_different_rows(ways, shots, queries, many, seed):
    labels = torch.arange(4).repeat(6)
    order = episodes("label", ways=ways, shots=shots, queries=queries)
    rows = rows_of(order, labels, given=many * order.rows_of_episode, seed=seed)
    for step in range(3):
        for episode in rows.at(step).unflatten(0, (many, ways, shots + queries)):
            assert (labels[episode] == labels[episode[:, :1]]).all()
            assert len(labels[episode[:, 0]].unique()) == ways
            assert len(episode.unique()) == episode.numel()


def test_episodes_draw_every_row_equally_often():
    order, labels = episodes("label", ways=2, shots=1, queries=1), torch.arange(4).repeat(5)
    rows = rows_of(order, labels)
    n = 4000
    times = torch.cat([rows.at(step) for step in range(n)]).bincount(minlength=20) / n
    p = 4 / 20
    assert float((times - p).abs().max()) < 5 * (p * (1 - p) / n) ** 0.5  # 20 numbers: a false alarm in 10^5


class Labels(Plain):
    """Remembers the labels that it was shown."""

    def __init__(self, **options):
        super().__init__(**options)
        self.labels, self.seen = [], []

    def step(self, batch, context):
        self.labels.append(batch["label"])
        self.seen.append(batch.index)
        return {"square": self.modules["net"](batch["x"]).square().mean()}


def data(labels=LABELS):
    return {"x": torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(1)), "label": labels}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stage_takes_its_order_and_batch_size_from_it(workers):
    order = identities("label", people=2, faces=3)
    plain, read = Labels(), Labels()
    history = Trainer(epochs=2, batch_size=64, records=1).run([Stage("faces", plain, data(), order=order)])
    assert history[-1]["step"] == 2 * (53 // 6)
    assert all(labels.shape == (6,) for labels in plain.labels)

    class Rows(TensorDataset):
        def __getitem__(self, row):
            return dict(zip(("x", "label"), super().__getitem__(row), strict=True))

    stage = Stage("faces", read, Rows(*data().values()), order=identities(LABELS, people=2, faces=3))
    Trainer(epochs=2, batch_size=64, workers=workers).run([stage])
    assert all(torch.equal(one, two) for one, two in zip(plain.seen, read.seen, strict=True))


def test_a_data_set_beside_has_an_order_of_its_own():
    task = Labels()
    shown = []

    def step(batch, context):
        shown.append(batch.beside["faces"]["label"])
        return {"square": task.modules["net"](batch["x"]).square().mean()}

    task.step = step
    beside = {"faces": Beside(data(), order=identities("label", people=3, faces=2))}
    Trainer(steps=4, batch_size=8).run([Stage("both", task, data(), beside=beside)])
    assert all(labels.shape == (6,) and len(labels.unique()) == 3 for labels in shown)


def test_a_run_with_an_order_goes_on_bit_for_bit_and_with_no_other(tmp_path):
    def run(task, folder, order):
        trainer = Trainer(steps=15, batch_size=8, folder=folder, checkpoint_every=4)
        trainer.run([Stage("classes", task, data(), order=order)])
        return task

    class Stopping(Labels):
        def step(self, batch, context):
            if context.step == 9 and not tmp_path.joinpath("stopped").exists():
                tmp_path.joinpath("stopped").touch()
                raise KeyboardInterrupt
            return super().step(batch, context)

    whole = run(Labels(), None, balanced("label"))
    with pytest.raises(KeyboardInterrupt):
        run(Stopping(), tmp_path / "run", balanced("label"))
    with pytest.raises(CheckpointError, match="orders was"):
        run(Stopping(), tmp_path / "run", None)
    again = run(Stopping(), tmp_path / "run", balanced("label"))
    assert torch.equal(again.net.weight, whole.net.weight)
    assert [index.tolist() for index in again.seen] == [index.tolist() for index in whole.seen[8:]]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: balanced(3), TypeError, "column"),
        (lambda: identities("label", people=0, faces=2), ValueError, "people"),
        (lambda: identities("label", people=2, faces=True), TypeError, "faces"),
        (lambda: episodes("label", ways=2, shots=0, queries=1), ValueError, "shots"),
        (lambda: episodes("label", ways=2, shots=1, queries=-1), ValueError, "queries"),
        (lambda: Stage("s", Plain(), order="balanced"), TypeError, "order is str; give balanced"),
        (lambda: Beside((), batch_size=0), ValueError, "batch_size"),
        (lambda: Beside((), order=64), TypeError, "order"),
        (
            lambda: Stage("s", Plain(), batch_size=8, order=identities("label", people=3, faces=2)),
            ValueError,
            "batch_size=8, but people=3 times faces=2 make batches of 6; leave it out",
        ),
        (
            lambda: Beside((), batch_size=9, order=episodes("label", ways=2, shots=1, queries=1)),
            ValueError,
            "batch_size=9 is no multiple of the 4 rows of an episode",
        ),
    ],
)
def test_orders_that_cannot_be_are_refused_when_they_are_given(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("order", "rows", "error", "message"),
    [
        (balanced("class"), data(), ValueError, "no column 'class' to order by; there are 'x', 'label'"),
        (balanced("label"), TensorDataset(LABELS), ValueError, "give the order a tensor with the class of every row"),
        (balanced("x"), data(), TypeError, r"column 'x' has shape \(58, 4\) and dtype float32"),
        (balanced(LABELS[1:]), data(), ValueError, "has 57 numbers, but the data have 58 rows"),
        (balanced("label"), data(torch.full((4,), -1)), ValueError, "no row with a class"),
        (balanced("label"), (), ValueError, "no column 'label'"),
        (identities("label", people=5, faces=2), data(), ValueError, "people=5 different classes.*the data have 4"),
        (
            episodes("label", ways=5, shots=1, queries=0),
            data(),
            ValueError,
            "ways=5 different classes.*the data have 4",
        ),
        (
            episodes("label", ways=2, shots=2, queries=2),
            data(),
            ValueError,
            r"2 of 4 classes have fewer rows than the shots=2 \+ queries=2",
        ),
    ],
)
def test_orders_that_do_not_fit_the_data_are_refused(order, rows, error, message):
    with pytest.raises(error, match=message):
        Trainer(steps=1, batch_size=4).run([Stage("classes", Labels(), rows, order=order)])


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (balanced("label"), "8 rows per step cannot be shared equally by 3"),
        (identities("label", people=2, faces=3), "people=2 cannot be shared equally by 3 processes, each .* whole"),
        (episodes("label", ways=2, shots=1, queries=0), "1 episodes per step .* give batch_size a multiple of 6"),
    ],
)
def test_batches_that_processes_cannot_share_are_refused(order, message):
    with pytest.raises(ValueError, match=message):
        rows_of(order, process=(0, 3))


def test_private_runs_draw_their_own_batches():
    trainer = Trainer(steps=2, batch_size=4, privacy=PrivateGradients(multiplier=1.0, delta=1e-3))
    with pytest.raises(ValueError, match=r"order=balanced\(\.\.\.\) .* private run pays nothing for"):
        trainer.run([Stage("classes", Labels(), data(), order=balanced("label"))])
