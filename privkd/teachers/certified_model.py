"""A model whose training already carries a certificate: everything computed from it keeps that certificate."""

from __future__ import annotations

from torch import nn

from accountants import Ledger
from privkd.certificates.certificate import Certificate
from privkd.certificates.release import Transcription
from privkd.data.input_spec import InputSpec
from privkd.errors import GuaranteeError
from privkd.teachers.bare_teacher import BareTeacher
from privkd.teachers.teacher import TeacherKind


class CertifiedModel:
    """A module together with the certificate of the way in which it was made.

    From the folder of a release: `CertifiedModel(privkd.load(directory))`.

    Args:
        model: maps inputs to logits, shape (b, K); or a release with its own certificate, as `privkd.load` gives it.
        certificate: what its training guarantees; `Certificate.declared(...)` for a model trained elsewhere. A release
            brings it along.

    Raises:
        TypeError: not a module, or not a certificate.
        GuaranteeError: the certificate guarantees nothing about training data.
        CertificateError: the certificate does not follow from its ledger.
    """

    def __init__(self, model: nn.Module | Transcription, certificate: Certificate | None = None) -> None:
        if isinstance(model, Transcription):
            if certificate is not None:
                raise TypeError(
                    "a release brings its own certificate; give the release alone, or release.student with another"
                )
            model, certificate = model.student, model.certificate
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        if not isinstance(certificate, Certificate):
            raise TypeError(
                f"certificate must be a privkd.Certificate, got {type(certificate).__name__}; for a model trained "
                "elsewhere use Certificate.declared(epsilon=..., delta=..., adjacency=..., by='...')"
            )
        if not certificate.protects_training_data:
            raise GuaranteeError(
                f"a certificate of scope {certificate.scope.value!r} says nothing about training records, so it cannot make this "
                "a certified teacher. Hand the module itself to transcribe, or use a TeacherEnsemble"
            )
        certificate.verify()
        self.model = model
        self.certificate = certificate


class CertifiedTeacher(BareTeacher):
    """A certified model that is asked: its answers are post-processing of its training.

    Attributes:
        certificate: what the training guarantees.
    """

    kind = TeacherKind.CERTIFIED

    def __init__(self, certified: CertifiedModel, inputs: InputSpec, *, classes: int | None = None) -> None:
        super().__init__(certified.model, inputs, classes=classes)
        self.certificate = certified.certificate
        self.records = certified.certificate.n_records_declared

    @property
    def data_ledger(self) -> Ledger | None:
        return self.certificate.ledger

    @property
    def models(self) -> list[nn.Module]:
        return []  # a certified model may itself be released
