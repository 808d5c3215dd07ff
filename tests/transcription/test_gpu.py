"""The same call on an accelerator: teachers and queries may live on any device, students come back on the CPU."""

import pytest
import torch
from torch import nn

import privkd
from privkd.mechanisms import SeededNoise
from privkd.teachers import BareTeacher, InputSpec

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator; none is here"),
]


def test_a_teacher_on_the_accelerator_is_transcribed_without_data():
    module = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).cuda().train()
    result = privkd.transcribe(module, 3.0, scope="synthetic-label", queries=100, seed=0)
    assert next(result.student.parameters()).device.type == "cpu"
    assert next(result.generator.parameters()).device.type == "cpu"
    assert next(module.parameters()).device.type == "cuda"
    assert module.training
    assert result.certificate.verify().upper == 3.0


def test_queries_on_another_device_than_the_teacher_are_moved(ensemble, data):
    on_gpu = data.public.inputs.cuda()
    result = privkd.transcribe(ensemble, 10.0, queries=on_gpu, seed=0, noise=SeededNoise(0))
    test = data.test
    assert (result.student(test.inputs).argmax(1) == test.labels).double().mean() > 0.7
    teacher = BareTeacher(nn.Linear(64, 10), InputSpec((64,)))
    assert teacher.answers(on_gpu).unsafe_value().device.type == "cpu"


def test_records_on_the_accelerator_are_counted(trained, data):
    records = (data.private.inputs.cuda(), data.private.labels.cuda())
    result = privkd.transcribe(trained, 3.0, queries=data.public.inputs, records=records, seed=0)
    assert result.certificate.scope == "training-record"


def test_module_teachers_of_an_ensemble_answer_after_training_on_the_accelerator(data):
    ensemble = privkd.TeacherEnsemble.fit(
        lambda: nn.Linear(64, 10), data.private.inputs, data.private.labels, teachers=3
    )
    assert ensemble.votes(data.public.inputs.cuda()).unsafe_value().sum().item() == 3 * 400
