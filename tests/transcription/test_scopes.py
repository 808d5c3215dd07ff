"""Which scope a transcription has, what it may not claim, and what its ledger says."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import privkd
from accountants import GNMax, PriorResponse, RandomizedResponse, epsilon
from privkd import BudgetExceeded, Certificate, CertifiedModel, GuaranteeError, PrivacyScopeWarning
from privkd.errors import InputRangeWarning
from privkd.mechanisms import SeededNoise
from privkd.teachers.guessing import guess_inputs


def few(**kwargs):
    return {"queries": 60, "seed": 0} | kwargs


@pytest.mark.filterwarnings("ignore::privkd.PrivacyScopeWarning")
@pytest.mark.parametrize("method", ["votes", "gnmax", "cells"])
def test_ensembles_give_training_record_scope_within_the_asked_epsilon(ensemble, data, method):
    records = (data.private.inputs, data.private.labels) if method == "cells" else None
    result = privkd.transcribe(ensemble, 1.0, 1e-4, queries=data.public.inputs, records=records, method=method, seed=0)
    certificate = result.certificate
    assert (certificate.scope, certificate.adjacency) == ("training-record", "replace-one")
    assert 0.999 <= certificate.epsilon <= 1.0
    assert certificate.verify().upper <= 1.0
    assert certificate.secure_rng
    assert not result.student.training
    assert result.student(data.test.inputs).shape == (297, 10)
    assert len(result.ledger.claims) == 1
    assert "for each training record" in str(certificate)


@pytest.mark.filterwarnings("ignore::privkd.PrivacyScopeWarning")
def test_auto_takes_cells_when_records_are_at_hand_and_votes_otherwise(ensemble, trained, data):
    records = (data.private.inputs, data.private.labels)
    assert privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, seed=0).method == "votes"
    both = privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, records=records, seed=0)
    assert both.method == "cells"
    bare = privkd.transcribe(trained, 1.0, queries=data.public.inputs, records=records, seed=0)
    assert (bare.method, bare.certificate.scope) == ("cells", "training-record")


def test_default_delta_is_below_a_tenth_of_one_over_n_and_stated(ensemble, data):
    certificate = privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, seed=0).certificate
    assert certificate.delta == 1e-5
    assert "(1.0, 1e-05)-DP" in str(certificate)
    assert certificate.n_records_declared == 1100


def test_a_bare_module_warns_and_never_claims_training_records(trained):
    with pytest.warns(PrivacyScopeWarning, match="NOT training records"):
        result = privkd.transcribe(trained, 3.0, **few())
    certificate = result.certificate
    assert certificate.scope == "synthetic-label"
    assert not certificate.protects_training_data
    assert (certificate.epsilon, certificate.delta) == (3.0, 0.0)
    composed = epsilon(RandomizedResponse(10, 3.0) * 60, 1e-5, adjacency="replace-one").upper
    assert certificate.teacher_epsilon == pytest.approx(composed)
    assert "NOT a training-record guarantee" in str(certificate)
    assert certificate.leaks == ()


def test_saying_the_scope_silences_the_warning(trained):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        privkd.transcribe(trained, 3.0, scope="synthetic-label", inputs=privkd.InputSpec((64,)), **few())


def test_a_guessed_input_range_is_said_aloud(trained, data):
    with pytest.warns(InputRangeWarning, match="which is a guess"):
        privkd.transcribe(trained, 3.0, scope="synthetic-label", **few())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        privkd.transcribe(trained, 3.0, scope="synthetic-label", queries=data.public.inputs, seed=0)


def test_records_are_used_or_refused_never_ignored(trained, ensemble, data):
    records = (data.private.inputs, data.private.labels)
    with pytest.raises(ValueError, match="needs public queries="):
        privkd.transcribe(trained, 1.0, records=records)
    with pytest.raises(ValueError, match="used by method='cells' only"):
        privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, records=records, method="votes")
    certified = CertifiedModel(trained, Certificate.declared(epsilon=2.0, delta=1e-6, by="a test"))
    counted = privkd.transcribe(certified, 1.0, queries=data.public.inputs, records=records, seed=0)
    assert (counted.method, counted.certificate.scope) == ("cells", "training-record")
    with pytest.raises(GuaranteeError, match="not 'teacher'"):
        privkd.transcribe(certified, 1.0, scope="teacher", queries=data.public.inputs, records=records, method="cells")


def test_training_record_scope_of_a_bare_module_is_refused_with_the_ways_out(trained):
    with pytest.raises(GuaranteeError) as caught:
        privkd.transcribe(trained, 1.0, scope="training-record", **few())
    text = str(caught.value)
    for way in ("TeacherEnsemble.fit", "scope='teacher'", "scope='synthetic-label'", "CertifiedModel", "0.232"):
        assert way in text


def test_teacher_scope_composes_all_answers_within_epsilon_and_prints_the_ceiling(trained):
    result = privkd.transcribe(trained, 1.0, scope="teacher", **few())
    certificate = result.certificate
    assert certificate.scope == "teacher"
    assert 0.99 <= certificate.epsilon <= 1.0
    assert certificate.answers == 60
    assert certificate.ceiling == pytest.approx(0.232, abs=1e-3)
    [event] = {charge.event for charge in result.ledger.charges}
    assert event.event.eps0 < 0.1
    with pytest.raises(BudgetExceeded):
        result.ledger.charge(RandomizedResponse(10, event.event.eps0), count=10)


def test_a_stub_that_skips_composition_would_break_the_cap(trained):
    ledger = privkd.Ledger(adjacency="replace-one", epsilon=1.0, delta=1e-5)
    with pytest.raises(BudgetExceeded):
        ledger.charge(RandomizedResponse(10, 1.0), count=60)


def test_paper_mode_uses_the_students_top_classes_and_exists_for_dpsd_only(trained, ensemble, data):
    result = privkd.transcribe(trained, 3.0, scope="synthetic-label", mode="paper", **few())
    assert {charge.event.event for charge in result.ledger.charges} == {PriorResponse(5, 3.0)}
    assert result.certificate.scope == "synthetic-label"
    with pytest.raises(ValueError, match="mode='paper'"):
        privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, mode="paper")
    with pytest.raises(ValueError, match="mode='paper'"):
        privkd.transcribe(trained, 1.0, scope="teacher", mode="paper")


def test_an_ensemble_without_public_data_is_asked_about_generated_inputs(ensemble):
    result = privkd.transcribe(ensemble, 5.0, **few())
    assert result.method == "votes"
    assert result.generator is not None
    assert result.certificate.scope == "training-record"
    assert result.certificate.epsilon <= 5.0
    assert sum(charge.event.count for charge in result.ledger.charges) == 60


def test_a_certified_model_keeps_its_certificate_and_epsilon_is_only_checked(trained, data):
    declared = Certificate.declared(epsilon=2.0, delta=1e-6, by="a test", n=1100)
    teacher = CertifiedModel(trained, declared)
    result = privkd.transcribe(teacher, 3.0, queries=data.public.inputs, seed=0)
    assert (result.certificate.epsilon, result.certificate.delta) == (2.0, 1e-6)
    assert "as declared by a test" in str(result.certificate)
    assert "queries are public and chosen without looking at private records" in str(result.certificate)
    assert result.certificate.verify().upper <= 2.0
    assert result.method == "certified"
    free = privkd.transcribe(teacher, 2.0, **few())
    assert free.generator is not None
    assert free.certificate.epsilon == 2.0
    for epsilon_, delta in ((1.9, None), (2.0, 1e-7)):
        with pytest.raises(BudgetExceeded, match="cannot lower"):
            privkd.transcribe(teacher, epsilon_, delta, queries=data.public.inputs)
    with pytest.raises(GuaranteeError, match="does not imply"):
        privkd.transcribe(teacher, 3.0, scope="teacher", queries=data.public.inputs)


def test_a_certified_teacher_must_be_certified_for_training_data(trained):
    with pytest.warns(PrivacyScopeWarning):
        answers = privkd.transcribe(trained, 1.0, **few())
    with pytest.raises(GuaranteeError, match="says nothing about training records"):
        CertifiedModel(trained, answers.certificate)
    with pytest.raises(TypeError):
        CertifiedModel(trained, "trust me")


def test_a_transcription_can_teach_again_for_free(ensemble, data):
    first = privkd.transcribe(ensemble, 2.0, queries=data.public.inputs, seed=0)
    second = privkd.transcribe(CertifiedModel(first.student, first.certificate), 2.0, queries=data.public.inputs)
    assert second.certificate.epsilon == first.certificate.epsilon
    assert second.certificate.scope == "training-record"
    assert second.certificate.verify().upper <= 2.0


def test_releases_from_one_ensemble_are_counted_together(ensemble, data):
    first = privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, seed=0)
    second = privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, seed=0)
    assert "no other release is made from these records, before or after (several compose), " not in str(
        second.certificate
    )
    assert "no other release is made from these records, before or after" in str(first.certificate)
    sentence = str(second.certificate)
    assert "but those in their common ledger (all of them so far together: epsilon <= 1.4" in sentence
    assert "at the same delta if their kinds and sizes were fixed in advance, and <= " in sentence
    total = ensemble.ledger.epsilon(1e-5).upper
    assert total > 1.3
    assert len(ensemble.ledger.events) == 2
    assert ensemble.ledger.events[0].event == GNMax(ensemble.ledger.events[0].event.sigma)


def test_seeded_noise_voids_the_certificate_and_system_noise_never_repeats(ensemble, data):
    seeded = privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, seed=0, noise=SeededNoise(1))
    assert not seeded.certificate.secure_rng
    assert "VOID OUTSIDE TESTS" in str(seeded.certificate)
    assert any("seeded" in text for text in seeded.ledger.disclosed)
    again = privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, seed=0, noise=SeededNoise(1))
    runs = [privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, seed=0) for _ in range(2)]
    weights = [next(r.student.parameters()) for r in (seeded, again, *runs)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[2], weights[3])


def test_infinite_epsilon_needs_an_explicit_word_and_certifies_nothing(ensemble, trained, data, accuracy):
    with pytest.raises(ValueError, match="allow_nonprivate"):
        privkd.transcribe(ensemble, math.inf, queries=data.public.inputs)
    open_ = privkd.transcribe(ensemble, math.inf, queries=data.public.inputs, seed=0, allow_nonprivate=True)
    assert open_.certificate.scope == "none"
    assert str(open_.certificate).startswith("NO privacy guarantee")
    assert accuracy(open_.student) > 0.85
    bare = privkd.transcribe(trained, math.inf, scope="synthetic-label", allow_nonprivate=True, **few())
    assert bare.certificate.scope == "none"


def test_a_teacher_in_train_mode_answers_in_eval_mode_and_is_not_changed():
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3)).train()
    module[2].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    privkd.transcribe(module, 3.0, scope="synthetic-label", **few())
    assert [m.training for m in module] == [True, True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize(
    ("shape", "classes"), [((5,), 2), ((1, 28, 28), 10), ((3, 16, 16), 4)], ids=["vector", "grey", "colour"]
)
def test_any_input_shape_and_number_of_classes_runs(shape, classes):
    module = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), classes))
    result = privkd.transcribe(
        module, 2.0, scope="synthetic-label", queries=40, seed=0, inputs=privkd.InputSpec(shape, -1.0, 1.0)
    )
    assert result.student(torch.zeros(2, *shape)).shape == (2, classes)
    sample = result.generator.sample(5)
    assert sample.shape == (5, *shape)
    assert -1.0 <= sample.min() < sample.max() <= 1.0


def test_the_input_shape_of_a_convolution_is_found_or_asked_for():
    fixed = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 3))
    assert guess_inputs(fixed).shape == (1, 28, 28)
    flexible = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(ValueError, match="InputSpec"):
        guess_inputs(flexible)
    with pytest.raises(ValueError, match="InputSpec"):
        guess_inputs(nn.Embedding(3, 4))


class FailsAboveItsBias(nn.Module):
    """Takes images of one side, fails in a way that its weights decide, and leaves numpy strict."""

    def __init__(self, weight, error):
        super().__init__()
        self.first, self.last, self.error = nn.Conv2d(1, 4, 3), nn.Linear(4, 2), error
        with torch.no_grad():
            self.last.bias[0] = weight

    def forward(self, x):
        logits = self.last(self.first(x).mean((2, 3)))
        if x.shape[-1] != 28:
            raise ValueError("side")
        if float(logits.max()) > 100:
            np.seterr(all="raise")
            raise self.error(f"logit {float(logits.max())}")
        return logits


@pytest.mark.parametrize("error", [AssertionError, ValueError, KeyError, SystemExit])
@pytest.mark.parametrize("weight", [0.5, 1234.5])
def test_guessing_the_input_shape_tells_nothing_of_the_weights(weight, error):
    module = FailsAboveItsBias(weight, error).train()
    assert guess_inputs(module).shape == (1, 28, 28)
    assert module.training
    assert np.geterr()["over"] == "warn"
    if weight > 100:
        with np.errstate(), pytest.raises(error):  # the module itself does fail
            module(torch.zeros(2, 1, 28, 28))


def test_a_public_query_is_answered_once_each(trained, data):
    result = privkd.transcribe(trained, 2.0, scope="synthetic-label", queries=data.public.inputs, seed=0)
    assert result.generator is None
    assert result.certificate.answers == 400
    repeated = data.public.inputs[:5].repeat(8, 1)
    assert privkd.transcribe(trained, 2.0, scope="synthetic-label", queries=repeated, seed=0).certificate.answers == 5
