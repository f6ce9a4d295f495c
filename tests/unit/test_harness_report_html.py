"""``report.html``: self-contained, safe whatever an agent wrote, and possible from the record alone."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

import made_records as made
from curation_harness.attempts.headline import compose
from curation_harness.errors import RecordInvalid
from curation_harness.record import scores
from curation_harness.record.models import Origin
from curation_harness.record.scheme import Scheme
from curation_harness.record.store import RunRecord
from curation_harness.report import content, pool
from curation_harness.report.html import write_report
from curation_harness.report.pool import installed
from curation_plugins.api import Progress, RowCard, Task
from curation_plugins.jobs import ItemResult, Role, WorkerSpec
from curation_plugins.registry import Registry

VOID = {"meta", "img", "br", "hr", "link", "input"}
TAGS = (
    "html head meta title style body main header nav section h1 h2 h3 h4 p ul li a b span div table thead tbody"
    " tr th td figure figcaption img details summary code pre article dl dt dd"
)
ALLOWED_TAGS = set(TAGS.split())
CUT = "⟨U+"


class Page(HTMLParser):
    """The parsed page: every start tag, and the text under it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).replace("\N{NO-BREAK SPACE}", " ").split())

    def attributes(self, name: str) -> Iterator[str]:
        return (attributes[name] for _, attributes in self.tags if name in attributes)


class MadeTask(Task):
    """A pool of rows in three sources; every fourth row is text only."""

    card_error: Exception | None = None
    image: bytes | None = None

    def brief(self) -> str:
        return ""

    def assets_key(self) -> str:
        return "made"

    def prepare(self, folder: Path, progress: Progress) -> None:
        raise AssertionError("a report prepares nothing")

    def pool_rows(self, assets: Path) -> int:
        return made.POOL_ROWS

    def worker(self, role: Role) -> WorkerSpec:
        raise AssertionError("a report trains nothing")

    def sources(self, assets: Path) -> Sequence[str]:
        return [("alder", "birch", "$x_{cedar}$ <b>")[row % 3] for row in range(made.POOL_ROWS)]

    def truth(self, assets: Path) -> Sequence[bool]:
        return [row % 5 > 1 for row in range(made.POOL_ROWS)]

    def row_card(self, row: int, assets: Path) -> RowCard | None:
        if self.card_error is not None:
            raise self.card_error
        picture = self.image or png((8, 8))
        question = f"<script>question of row {row}</script>"
        return RowCard(row=row, turns=(("human", question), ("gpt", "an answer")), image=picture)


def png(size: tuple[int, int], noise: bool = False) -> bytes:
    image = Image.effect_noise(size, 90) if noise else Image.new("RGB", size, "teal")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    return made_assets(tmp_path)


def made_assets(parent: Path) -> Path:
    folder = parent / "assets"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


POOL_DIGEST = hashlib.sha256(b"{}").hexdigest()


def page_of(record: RunRecord, task: Task | None = None, assets: Path | None = None) -> Page:
    path = write_report(record, task, assets)
    assert path == record.folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


# -- what it says ----------------------------------------------------------------------------------


def test_report_from_the_record_alone_says_what_is_missing(tmp_path: Path) -> None:
    page = page_of(made.made_run(tmp_path))
    assert "task made-tiny, with the settings of then, is not installed here" in page.text
    headline = made.made_run(tmp_path, "other").headline()
    assert headline is not None
    assert f"scores {headline.sealed.mean:.3f} ± {headline.sealed.stderr:.3f} on 480 sealed items" in page.text
    assert "above random: " in page.text
    assert "Share of the full-data gain recovered on sealed items" in page.text
    assert "Minimal detectable difference to random: 0.0" in page.text
    assert "Shrinkage from public to sealed" in page.text
    assert "Noise floor 0.0" in page.text
    assert "our failure" in page.text
    assert "3 of 4" not in page.text
    assert "4 of 4 (1 given back)" in page.text
    for digest in (made.DIGEST, "c0ffee", "sha256:"):
        assert digest in page.text
    figures = [value for value in page.attributes("id") if value.startswith("figure-")]
    assert figures == [
        f"figure-{name}"
        for name in (
            "progress",
            "benchmarks",
            "public-and-sealed",
            "differences",
            "standing",
            "shrinkage",
            "noise",
            "overlap",
            "truth",
        )
    ]


def test_settings_that_the_task_no_longer_knows_keep_no_report_from_being_written(
    tmp_path: Path, cache: Path, registry: Registry
) -> None:
    from conftest import probe_record

    spec = probe_record(tmp_path / "runs", cache, registry).spec
    assert installed(spec, registry, cache)[0] is not None
    older = spec.task.model_copy(update={"recipe": {**spec.task.recipe, "dropped": 1}})
    assert installed(spec.model_copy(update={"task": older}), registry, cache) == (None, None)
    gone = spec.task.model_copy(update={"name": "gone"})
    assert installed(spec.model_copy(update={"task": gone}), registry, cache) == (None, None)


def test_report_with_the_pool_shows_rows_and_sources(tmp_path: Path, assets: Path) -> None:
    record = made.made_run(tmp_path / "runs", attempts=2, pool_digest=POOL_DIGEST)
    page = page_of(record, MadeTask(made.made_task()), assets)
    rows = content.sample(
        content.gather(record, pool.PoolView()).attempts[0].chosen.rows, record.submissions()[0].digest
    )
    assert len(rows) == content.SAMPLE
    for row in rows:
        assert f"row {row} " in page.text
        assert f"<script>question of row {row}</script>" in page.text
    assert "figure-source-mix" in page.attributes("id")
    assert "$x_{cedar}$ <b>" in page.text
    assert {"good", "planted defect"} <= set(page.texts)
    assert sum(value.startswith("data:image/png;base64,") for value in page.attributes("src")) == 24


def test_the_same_record_gives_the_same_bytes(tmp_path: Path, assets: Path) -> None:
    record = made.made_run(tmp_path / "runs", pool_digest=POOL_DIGEST)
    first = write_report(record, MadeTask(made.made_task()), assets).read_bytes()
    assert write_report(RunRecord.open_run(record.folder), MadeTask(made.made_task()), assets).read_bytes() == first


def test_rows_of_another_pool_are_not_passed_off_as_the_runs(tmp_path: Path, assets: Path) -> None:
    page = page_of(made.made_run(tmp_path / "runs"), MadeTask(made.made_task()), assets)
    assert "the pool on this machine is not the one that the run had" in page.text
    assert "question of row" not in page.text


def test_files_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    page = page_of(made.made_run(tmp_path / "runs"), MadeTask(made.made_task()), tmp_path / "gone")
    assert "the files of task made-tiny are not on this machine" in page.text
    page = page_of(made.made_run(tmp_path / "runs", "other"), MadeTask(made.made_task()), tmp_path)
    assert "the pool could not be read" in page.text


def test_a_task_that_fails_on_its_rows_does_not_take_the_report_along(tmp_path: Path, assets: Path) -> None:
    task = MadeTask(made.made_task())
    task.card_error = RuntimeError("<b>broken</b>")
    record = made.made_run(tmp_path / "runs", attempts=1, pool_digest=POOL_DIGEST)
    assert "the task could not show it: RuntimeError('<b>broken</b>')" in page_of(record, task, assets).text


def test_fewer_than_five_random_references_draw_no_random_search(tmp_path: Path) -> None:
    few = RunRecord.create(tmp_path, made.made_spec(), made.made_references(random_seeds=4))
    made.write_attempt(few, 1)
    made.write_score(few, 1, 0.5)
    assert "Too few random selections were measured" in page_of(few).text
    assert "from 8 measured ones" in page_of(made.made_run(tmp_path, "eight")).text


@pytest.mark.parametrize("state", ["created", "pending", "failed"])
def test_a_run_without_scores_has_a_report(tmp_path: Path, state: str) -> None:
    record = RunRecord.create(tmp_path, made.made_spec(), None)
    if state != "created":
        made.write_attempt(record, 1)
    if state == "failed":
        made.write_failure(record, 1)
    page = page_of(record)
    assert "`harness finish` goes on" in page.text
    assert ("No submission was accepted" in page.text) == (state == "created")
    assert not [value for value in page.attributes("id") if value == "figure-progress"]


def test_fifty_attempts(tmp_path: Path) -> None:
    record = made.made_run(tmp_path, attempts=50)
    page = page_of(record)
    assert "attempt-50" in page.attributes("id")
    assert (record.folder / "report.html").stat().st_size < 4 * 2**20


def test_a_damaged_selection_is_reported(tmp_path: Path) -> None:
    record = made.made_run(tmp_path, attempts=1)
    (record.attempt_folder(1) / "selection.jsonl").write_text('{"id":1}\n')
    with pytest.raises(RecordInvalid, match="no selection"):
        write_report(record, None, None)


# -- hostile text ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("hostile")
    record = made.made_run(folder / "runs", hostile=True, pool_digest=POOL_DIGEST)
    return page_of(record, MadeTask(made.made_task()), made_assets(folder))


def test_agent_text_brings_no_tag_no_handler_and_no_address(hostile: Page) -> None:
    assert {tag for tag, _ in hostile.tags} <= ALLOWED_TAGS
    for tag, attributes in hostile.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
    for address in hostile.attributes("href"):
        assert re.fullmatch(r"#[a-z0-9-]+", address)
    for source in hostile.attributes("src"):
        assert re.fullmatch(r"data:image/(png|jpeg|svg\+xml);base64,[A-Za-z0-9+/=]+", source)
    assert hostile.open == []


def test_policy_forbids_scripts_and_loading(hostile: Page) -> None:
    policy = next(
        attributes["content"]
        for tag, attributes in hostile.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    assert "img-src data:" in policy
    assert "script-src" not in policy


def test_agent_text_is_still_there_to_be_read(hostile: Page) -> None:
    for text in (made.HOSTILE["script"], made.HOSTILE["template"], "[red]marked[/red]", "</pre></details></style>"):
        assert text in hostile.text
    assert "more characters are in the record" in hostile.text
    assert len(hostile.text) < 400_000


@pytest.mark.parametrize("code", ["\x1b", "\x07", "\0", "\u202e", "\u2066", "\u200b", "\x9b"])
def test_characters_that_deceive_a_reader_are_written_out(hostile: Page, code: str) -> None:
    assert code not in "".join(hostile.texts)
    assert f"{CUT}{ord(code):04X}⟩" in hostile.text


def test_a_nul_does_not_hide_a_policys_code(hostile: Page) -> None:
    assert re.search(r"policy\.py \d", hostile.text)
    assert "policy.py 1.3 KiB, binary" not in hostile.text
    assert "data.bin 256 B, binary" in hostile.text


def test_a_policy_file_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    record = made.made_run(tmp_path / "runs", attempts=2)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "policy.py").write_text("the host's secret")
    file = record.attempt_folder(1) / "policy" / "policy.py"
    file.unlink()
    file.symlink_to(secret / "policy.py")
    folder = record.attempt_folder(2) / "policy"
    (folder / "policy.py").unlink()
    folder.rmdir()
    folder.symlink_to(secret, target_is_directory=True)
    page = page_of(record)
    assert "the host's secret" not in page.text
    assert page.text.count("not a plain file in the record") == 2


# -- images ----------------------------------------------------------------------------------------


def test_large_images_are_shrunk() -> None:
    large = png((900, 600), noise=True)
    uri = pool.data_uri(large)
    assert uri is not None
    shrunk = base64.b64decode(uri.partition(",")[2])
    assert len(shrunk) < len(large) / 4
    with Image.open(io.BytesIO(shrunk)) as image:
        assert max(image.size) == pool.THUMBNAIL


@pytest.mark.parametrize(
    "data",
    [b"<svg onload='alert(1)'/>", b"GIF89a", b"", png((2, 2))[:9] + b"\0" * 60_000],
    ids=["svg", "gif", "nothing", "damaged"],
)
def test_what_is_no_image_is_left_out(data: bytes) -> None:
    assert pool.data_uri(data) is None


def test_a_picture_bomb_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert pool.data_uri(png((400, 400), noise=True)) is None


def test_unscored_items_and_the_score_without_judges_are_shown(tmp_path: Path) -> None:
    def lamed(items: Sequence[ItemResult]) -> list[ItemResult]:
        gone = {"score": None, "unscored": "judge"}
        return [item.model_copy(update=gone) if item.item.endswith("-7") else item for item in items]

    record = made.made_run(tmp_path, attempts=2)
    result = record.result(1)
    assert result is not None
    public = scores.aggregate(lamed(made.made_items(0.5, 1, "public")), graded=["counting"])
    record.write_result(result.model_copy(update={"public": public}))
    headline = record.headline()
    assert headline is not None
    lame = scores.over_seeds([public] * 3)
    composed = compose(record, headline.attempt, headline.seeds, Scheme(made.BENCHMARKS, frozenset({"counting"})))
    assert composed.analysis is not None
    random = next(d for d in composed.analysis.without_judge if (d.reference, d.part) == ("random", "sealed"))
    assert random != composed.analysis.against("random", "sealed")
    told = {"sealed": lame, "all_items": lame, "analysis": composed.analysis}
    record.write_headline(headline.model_copy(update=told))
    text = page_of(record).text
    assert f"{random.difference:+.3f} against random on sealed items, 95% interval" in text
    assert "digits, public: 0 unscored because the answer could not be read (counted as wrong), 1 because" in text
    assert "mean without those a judge grades" in text
    assert f"Without the benchmarks that a judge grades: {lame.without_judge:.3f} on sealed items" in text
    assert "Unscored items, of the worst seed: 0 whose answer could not be read (counted as wrong) and 4" in text


def test_a_selection_of_fewer_rows_than_random_is_said_to_be_one(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path, made.made_spec(), made.made_references())
    for n, rows in ((1, 250), (2, made.ROWS_MAX)):
        made.write_attempt(record, n, rows=range(rows))
        made.write_score(record, n, 0.5 + n / 10)
    made.write_headline(record, 1, 0.5)
    said = f"The chosen selection has 250 rows, each random reference {made.ROWS_MAX:,}"
    assert said in page_of(record).text
    made.write_headline(record, 2, 0.5)
    assert "The chosen selection has" not in page_of(record).text


def test_published_scores_are_marked_as_others_and_stay_with_their_task(tmp_path: Path) -> None:
    text = page_of(made.made_run(tmp_path / "with")).text
    assert "no fine-tuning 0.288 published by others: Made et al. 2026" in text
    assert "it is shown to compare by eye" in text
    bare = RunRecord.create(tmp_path / "without", made.made_spec(published=()), made.made_references())
    made.write_attempt(bare, 1)
    made.write_score(bare, 1, 0.5)
    made.write_headline(bare, 1, 0.5)
    assert "published by others" not in page_of(bare).text


def test_references_without_sums_are_said_to_give_no_intervals(tmp_path: Path) -> None:
    table = made.made_references().model_copy(update={"sums": None})
    tmp_path.mkdir(exist_ok=True)
    record = RunRecord.create(tmp_path, made.made_spec(), table)
    made.write_attempt(record, 1)
    made.write_score(record, 1, 0.5)
    made.write_headline(record, 1, 0.5)
    text = page_of(record).text
    assert "The differences have no intervals" in text
    assert " below random: " in text


def test_imported_references_say_whose_they_are(tmp_path: Path) -> None:
    origin = Origin(measured_by="another lab", model="m@1", recipe="lora", note="by mail", other_digests=True)
    table = made.made_references().model_copy(update={"origin": origin})
    record = RunRecord.create(tmp_path, made.made_spec(), table)
    made.write_attempt(record, 1)
    made.write_score(record, 1, 0.5)
    made.write_headline(record, 1, 0.5)
    text = page_of(record).text
    assert "The references were not measured here: another lab measured them, model m@1, recipe lora." in text
    assert "of another pool or recipe than this task's" in text
