"""What files on disk are called, letter by letter: they outlive the places of the code that writes them."""

import importlib

import pytest

FORMATS = {
    "accountants.ledger.header.SCHEMA": "privkd.ledger/1",
    "privkd.certificates.form.SCHEMA": "privkd.certificate/1",
    "privkd.certificates.release_folder.SCHEMA": "privkd.release/1",
    "privkd.recipes.folder.SCHEMA": "privkd.trained/1",
    "privkd.report.study.SCHEMA": "privkd.report/2",
    "privkd.teachers.files.description.SCHEMA": "privkd.teacher/1",
    "privkd.teachers.files.ensemble_index.SCHEMA": "privkd.ensemble/1",
}


@pytest.mark.parametrize("place", FORMATS)
def test_formats_keep_their_names(place):
    module, name = place.rsplit(".", 1)
    assert getattr(importlib.import_module(module), name) == FORMATS[place]
