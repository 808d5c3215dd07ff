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
    cards = re.findall(r"<article.*?</article>", page, flags=re.S)
    words = {re.search(r'aria-label="(.*?)"', card)[1]: shown(card) for card in cards}
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
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", page, flags=re.S)[0]
    assert HOSTILE in unescape(page)


def test_a_claim_that_does_not_hold_is_shouted_and_never_shown_as_a_guarantee(study):
    broken = replace(study.releases[0], verified="", problem="CertificateError: the events cost more")
    page = render(replace(study, releases=(broken, *study.releases[1:])))
    card = next(
        c for c in re.findall(r"<article.*?</article>", page, flags=re.S) if 'aria-label="training-record"' in c
    )
    assert 'role="alert"' in page
    assert "Not verified." in card
    assert "claim does not hold" in card
    assert "ε ≤" not in card
    assert 'role="alert"' not in render(study)


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
