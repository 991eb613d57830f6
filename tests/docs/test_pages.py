"""Pages find each other: links lead somewhere, and every decision and open question is listed."""

import re
from pathlib import Path

import pytest

from exporter.cli import main
from tests.house.source import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "manifests").rglob("*.md")])
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
DECISIONS = ROOT / "docs/decisions"
QUESTIONS = re.compile(r"^\| (\d)\. .*\| \[(\d{4})\]\(\2-[\w-]+\.md\) \|$", re.MULTILINE)


def headings(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for path, anchor in LINK.findall(CODE.sub("", text)):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in headings(target.read_text()), f"{path}#{anchor}"


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(page.name[:4]) for page in sorted(DECISIONS.glob("[0-9]*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_each_open_question_has_a_page_that_names_it() -> None:
    answered = dict(QUESTIONS.findall((DECISIONS / "README.md").read_text()))
    assert list(answered) == [str(number) for number in range(1, 8)]
    for number in answered.values():
        (page,) = DECISIONS.glob(f"{number}-*.md")
        text = " ".join(page.read_text().split())
        assert re.search(r"open question", text), f"{page.name} does not say which question it answers"
        assert re.search(r"\d(\.\d+)? (ms|s|us|%|MiB)\b", text), f"{page.name} has no figure"


def test_the_readme_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = set(re.findall(r"^    ([a-z-]+) ", capsys.readouterr().out, re.MULTILINE))
    assert {"serve", "erase"} <= commands
    assert commands <= set(re.findall(r"`postel ([a-z-]+)", (ROOT / "README.md").read_text()))
