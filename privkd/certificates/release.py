"""A release: a student, its generator, and why they may be seen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from accountants import Ledger
from privkd.certificates.certificate import Certificate
from privkd.certificates.issuance import is_issued
from privkd.certificates.release_folder import SCHEMA, require_free, write_files
from privkd.errors import CertificateError, GuaranteeError
from privkd.storage import draft_of

if TYPE_CHECKING:
    from torch import nn

    from generators import SmallGenerator
    from privkd.data.input_spec import InputSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class Transcription:
    """A student that may be released, and why.

    Attributes:
        student: plain `nn.Module` in eval mode on the CPU; gives logits, shape (b, K), where it is a classifier.
        generator: makes synthetic inputs from latent vectors; None when public inputs were used.
        certificate: what is protected; `print(certificate)` says it in one sentence.
        ledger: every noisy release, in order; `certificate.verify()` recomputes epsilon from it.
        history: losses of the student on RELEASED answers; nothing here is computed from private values.
        method: how it was made: "votes", "cells", "gnmax", "dpsd", "certified", "private-training".
        spec: shape and range of one input; None where that is not known.
        label_names: names of the K classes in the order of the logits; None for numbers.

    Student and generator are what was certified when the release was made: `save` refuses those whose weights were changed
    in place since. A change by public means alone (pruning, rounding) is stated with a copy,
    `dataclasses.replace(release, student=changed_copy)`.
    """

    student: nn.Module
    generator: SmallGenerator | None
    certificate: Certificate
    ledger: Ledger
    history: list[dict[str, float]] = field(repr=False)
    method: str
    spec: InputSpec | None
    label_names: tuple[str, ...] | None = None
    _made: Mapping[str, tuple[nn.Module | None, bytes]] = field(default_factory=dict, repr=False)  # with their digests

    def __post_init__(self) -> None:
        made = dict(self._made)  # of the release that this one was made from by `dataclasses.replace`
        for name, module in self._networks.items():
            if name not in made or made[name][0] is not module:
                made[name] = (module, _fingerprint(module))
        object.__setattr__(self, "_made", made)

    @property
    def _networks(self) -> dict[str, nn.Module | None]:
        return {"student": self.student, "generator": self.generator}

    def save(self, directory: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write everything under one folder, or nothing; the ledger gets the certificate's seal and the digest of what is written.

        Args:
            directory: the folder to make.
            overwrite: whether an earlier release there may be replaced; any other folder is never touched.

        Returns:
            The folder.

        Raises:
            FileExistsError: something else is there already.
            CertificateError: the certificate is another ledger's.
            GuaranteeError: student or generator were changed in place since the release was made.
        """
        self._require_unchanged()
        if self.certificate.ledger is not self.ledger:
            raise CertificateError(
                "the certificate belongs to another ledger than the one beside it, so that nobody could verify it; give both: "
                "dataclasses.replace(release, certificate=certificate, ledger=certificate.ledger)"
            )
        with draft_of(directory, allowed=lambda: require_free(directory, overwrite=overwrite)) as draft:
            if is_issued(self.certificate, self.ledger):  # one that was changed gets no seal, and does not verify
                self.certificate.sealed()
            self._write(draft)
        return Path(directory)

    def _require_unchanged(self) -> None:
        """Refuse changed weights: what is written there after they were certified may be anything, also private records."""
        for name, module in self._networks.items():
            if _fingerprint(module) != self._made[name][1]:
                raise GuaranteeError(
                    f"the {name} was changed after the release was made, and the certificate speaks of what was made. Save it "
                    "before it is used elsewhere; if the change came from public data alone, say so with a copy: "
                    f"dataclasses.replace(release, {name}=copy.deepcopy(release.{name}))"
                )

    def _write(self, folder: Path) -> None:
        from privkd.networks import architecture_of

        config = {
            "schema": SCHEMA,
            "method": self.method,
            "inputs": None if self.spec is None else self.spec.to_dict(),
            "label_names": None if self.label_names is None else list(self.label_names),
            "student": architecture_of(self.student),
            "generator": None if self.generator is None else self.generator.config,
        }
        write_files(folder, config, self.certificate, self.student, self.generator, self.history)


def _fingerprint(module: nn.Module | None) -> bytes:
    """The digest of weights, buffers and settings, which is what a folder holds of a network."""
    if module is None:
        return b""
    from generators import SmallGenerator
    from privkd.networks import architecture_of
    from privkd.networks.fingerprint import digest

    settings = module.config if isinstance(module, SmallGenerator) else architecture_of(module)
    return digest(module) + repr(settings).encode()
