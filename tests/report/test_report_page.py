"""The page of a report: self-contained, escaped, readable, with the conclusion first."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from privkd import report
from privkd.report import Release, Result, Study, release_of, samples_of, write_report
from privkd.report.rendering import render

HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}"


class _Page(HTMLParser):
    """Tags, and everything that a browser would fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k.split(":")[-1] in ("src", "href", "data", "action", "srcset")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]
        if tag == "img":
            self.images.append(dict(attrs))


def shown(page: str) -> str:
    """Text of a page with runs of white space joined."""
    return " ".join(unescape(page).split())


def card(page: str, name: str) -> str:
    """The full guarantee of a release."""
    (found,) = re.findall(rf'<article class="card [a-z]*" aria-label="{name}">.*?</article>', page, flags=re.S)
    return found


def first_page(page: str) -> str:
    """What is seen before anything is unfolded, as text."""
    body = re.sub(r"<details>.*?</details>", "", page[page.index("<body>") :], flags=re.S)
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]*>", " ", unescape(body), flags=re.S).split())


@pytest.fixture
def study(transcription):
    scopes = ("training-record", "synthetic-label", "teacher", "none")
    made = {scope: transcription(scope=scope) for scope in scopes}
    rows = [
        Result(name=s, method=f"way {s}", scope=s, epsilon=e, delta=1e-5, accuracy=0.5)
        for s, e in (("training-record", 1.0), ("synthetic-label", 0.5), ("teacher", 2.0))
    ]
    reference = Result(name="", method="reference", scope="none", epsilon=None, delta=None, accuracy=0.9)
    return Study(
        title="Digits",
        summary="Some data.",
        results=(reference, *rows),
        releases=tuple(release_of(scope, done) for scope, done in made.items()),
        notes=("A note.",),
        not_protected=("The cat.",),
        samples=samples_of(made["teacher"]),
    )


def test_page_needs_nothing_from_outside_and_runs_nothing(study):
    page = render(study)
    parsed = _Page(page)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in parsed.links)
    assert parsed.links  # the plot and the samples do link, inside the page
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(parsed.tags)
    assert not parsed.handlers
    assert "@import" not in page
    assert "url(http" not in page
    assert "default-src 'none'" in page


def test_page_shows_every_sentence_every_limit_and_every_ledger(study):
    text = shown(render(study))
    for release in study.releases:
        assert release.certificate["sentence"] in text
        assert release.digest[:12] in text
        assert all(charge["event"] in text for charge in release.charges)
    assert "The cat." in text
    assert "What is not protected" in text


def test_scopes_are_told_apart_in_words(study):
    page = render(study)
    words = {name: shown(card(page, name)) for name in ("training-record", "synthetic-label", "teacher", "none")}
    assert "protects training records" in words["training-record"]
    assert "does NOT protect training records" in words["synthetic-label"]
    assert "protects the whole teacher" in words["teacher"]
    assert "no guarantee" in words["none"]
    assert "ε ≤" not in words["none"]


def test_hostile_text_stays_text(study):
    wild = replace(
        study,
        title=HOSTILE,
        summary=HOSTILE,
        notes=(HOSTILE,),
        not_protected=(HOSTILE,),
        results=tuple(replace(row, method=HOSTILE, note=HOSTILE) for row in study.results),
        releases=tuple(replace(release, name=HOSTILE) for release in study.releases),
        samples=replace(study.samples, caption=HOSTILE),
    )
    page = render(wild)
    assert "script" not in _Page(page).tags
    assert not _Page(page).handlers
    assert "49" not in re.findall(r"<title>(.*?)</title>", page, flags=re.S)[0]
    assert HOSTILE in unescape(page)


def test_a_claim_that_does_not_hold_is_shouted_and_never_shown_as_a_guarantee(study):
    broken = replace(study.releases[0], verified="", problem="CertificateError: the events cost more")
    page = render(replace(study, releases=(broken, *study.releases[1:])))
    false = card(page, "training-record")
    assert 'role="alert" aria-labelledby="alarm"' in page
    assert page.index('role="alert"') < page.index('aria-label="Verdict"')
    assert "Not verified." in false
    assert "claim does not hold" in false
    assert "ε ≤" not in false
    assert 'aria-labelledby="alarm"' not in render(study)
    (row,) = [row for row in re.findall(r"<tr.*?</tr>", page, flags=re.S) if "way training-record" in row]
    assert "no guarantee" in row
    assert not re.search(r'<td class="number">[0-9]', row)


def test_an_unreadable_release_has_a_card():
    gone = Release(
        name="x",
        method="m",
        certificate=None,
        charges=(),
        digest="",
        verified="",
        problem="LedgerError: entry 3",
    )
    assert "LedgerError: entry 3" in render(Study(title="t", summary="s", releases=(gone,)))


def test_images_and_plot_have_words_for_those_who_do_not_see_them(study):
    page = render(study)
    assert all(image["alt"] for image in _Page(page).images)
    assert _Page(page).images
    assert re.search(r'<figure class="plot" role="img" aria-label="[^"]{40,}"', page)


def test_page_is_the_same_for_the_same_study(study):
    assert render(study) == render(study)


def test_an_empty_study_still_says_what_is_not_protected():
    page = render(Study(title="t", summary="s"))
    assert "What is not protected" in page
    assert "<svg" not in page


def test_both_files_are_written_whole_or_not_at_all(study, tmp_path, monkeypatch):
    path = write_report(tmp_path / "new", study)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert set(before) == {"report.html", "report.json"}
    monkeypatch.setattr("privkd.report.writing.os.replace", _fail)
    with pytest.raises(OSError, match="disk"):
        write_report(path.parent, replace(study, title="other"))
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def _fail(*paths):
    raise OSError("disk")


def _luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_colours_have_accessible_contrast(scheme):
    style = (Path(report.__file__).parent / "report.css").read_text()
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", re.findall(r":root \{(.*?)\}", style, flags=re.S)[scheme]))

    def contrast(front: str, back: str) -> float:
        light, dark = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    texts = [
        ("ink", "page"),
        ("ink", "card"),
        ("muted", "page"),
        ("muted", "card"),
        ("muted", "soft"),
        ("bad", "card"),
    ]
    badges = [(name, f"{name}-soft") for name in ("good", "warn", "bad")] + [("ink", "warn-soft")]
    assert min(contrast(*pair) for pair in texts + badges) >= 4.5  # WCAG 2 AA, text
    assert min(contrast(f"series-{i}", "card") for i in range(6)) >= 3.0  # WCAG 2 AA, graphics


def test_the_first_page_concludes_and_everything_long_is_folded(study):
    page = render(study)
    first = first_page(page)
    for text in ("Recommended: training-record", "no attack is right in more than", "It holds only if", "Void"):
        assert text in first
    best = study.releases[0].certificate
    assert all(condition in first for condition in best["conditions"])
    assert best["sentence"] not in first
    assert best["sentence"] in shown(page)


def test_the_first_page_has_no_text_for_developers(study):
    first = first_page(render(study))
    assert not re.search(r"[0-9a-f]{12}", first)  # digests
    for text in ("privkd ", "ledger.json", "`", "python", "Error", "sigma", "gnmax", "VectorNetwork", "replace-one"):
        assert text not in first, text


def test_words_of_the_author_are_marked_and_never_stand_for_what_was_proven(study):
    wild = replace(
        study,
        title="ε = 0 for all",
        results=tuple(replace(row, method="no cost", note="a free lunch") for row in study.results),
        releases=(replace(study.releases[0], method="perfect privacy"), *study.releases[1:]),
    )
    page = render(wild)
    first = first_page(page)
    assert "ε = 0 for all (the author's title)" in first
    assert "perfect privacy (the author's word)" in first
    assert "no cost" not in first.replace("names of lines", "")
    assert "free lunch" not in first
    assert "Names, notes and accuracies are the author's" in shown(page)


def test_a_condition_of_many_students_is_said_once_among_them(transcription):
    made = transcription()
    condition = made.certificate.conditions[0]
    one = release_of("r", made)
    study = Study(title="t", summary="", releases=tuple(replace(one, name=f"r{i}") for i in range(12)))
    folded = render(study).split("For engineers")[0]
    assert shown(folded).count(condition) == 2  # with the recommended student, and in the list of shared conditions
    assert "condition 1 above" in shown(card(folded, "r11"))


def test_a_seeded_release_is_void_whatever_its_table_row_says(transcription):
    made = transcription()
    seeded = release_of("votes", replace(made, certificate=made.certificate))
    seeded = replace(seeded, certificate={**seeded.certificate, "secure_rng": False})
    row = Result(name="votes", method="v", scope="training-record", epsilon=0.1, delta=1e-6, accuracy=0.9)
    page = render(Study(title="t", summary="s", results=(row,), releases=(seeded,)))
    assert "Do not rely on this student" in first_page(page)
    assert "noise was seeded" in first_page(page)
    assert "protects training records" not in page


RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u202a-\u202e\u2066-\u2069\ufeff]")
UNSEEN = "x\x1b[2J\u202e 1.0=nolispe \u2066y\u2069\x9b2J\x07\x7f\n\u200bz"


def test_characters_that_cannot_be_seen_are_escapes_on_the_page_and_in_the_file(study, tmp_path):
    wild = replace(
        study,
        title=UNSEEN,
        summary=UNSEEN,
        notes=(UNSEEN,),
        not_protected=(UNSEEN,),
        results=tuple(replace(row, method=f"{row.method} {UNSEEN}", note=UNSEEN) for row in study.results),
        releases=tuple(replace(one, charges=({**one.charges[0], "where": UNSEEN},)) for one in study.releases),
    )
    for text in (render(wild), write_report(tmp_path, wild).read_text(), (tmp_path / "report.json").read_text()):
        assert not RAW.search(text)
        assert "nolispe" in text  # the text itself is there
        assert "u202e" in text


@pytest.mark.parametrize("name", ["wide", "narrow"])
def test_text_of_the_picture_has_at_least_eleven_pixels_where_it_is_shown(study, name):
    figure = re.search(rf'<div class="{name}" aria-hidden="true">(<svg.*?</svg>)', render(study), flags=re.S)[1]
    sizes = [float(size) for size in re.findall(r"font-size: ([0-9.]+)px", figure)]
    width = float(re.search(r'viewBox="0 0 ([0-9.]+)', figure)[1])
    room = {"wide": 720.0, "narrow": 390.0 - 2 * (0.8 + 0.3) * 16 - 2}[
        name
    ]  # of the figure on the narrowest screen meant
    assert min(sizes) * min(1.0, room / width) >= 11.0
