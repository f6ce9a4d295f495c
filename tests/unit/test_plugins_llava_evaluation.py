"""The evaluation worker: engines behind one interface, scoring on the way into the item file, its settings."""

from __future__ import annotations

import json
import random
import shutil
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from curation_harness.provenance import recipe_digest
from curation_harness.record.scores import aggregate
from curation_plugins.engines.local import LocalEngine
from curation_plugins.errors import AssetsInvalid, ConfigInvalid, WorkerReplyInvalid
from curation_plugins.jobs import EvaluateJob, EvaluateResult, ItemResult, WorkerSpec
from curation_plugins.tasks.llava import evaluation, layout
from curation_plugins.tasks.llava.backends.backend import Backend, Progress, Request
from curation_plugins.tasks.llava.backends.transformers_backend import TransformersBackend
from curation_plugins.tasks.llava.backends.weights import published_name, tensors
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.judge import Judge, JudgeConfig, JudgeUnavailable
from curation_plugins.tasks.llava.benchmarks.names import GRADED
from curation_plugins.tasks.llava.benchmarks.registry import PUBLIC, benchmark
from curation_plugins.tasks.llava.benchmarks.replies import Overheard
from curation_plugins.tasks.llava.evaluate import Evaluator
from curation_plugins.tasks.llava.evaluation import Evaluation
from curation_plugins.tasks.llava.items import write_items
from curation_plugins.tasks.llava.results import predictions, rescore, results
from curation_plugins.tasks.llava.task import LlavaTask
from fake_judge import FakeJudge, serving
from llava_micro import RECIPE, micro_assets, micro_task
from made_benchmarks import item
from small_models import NAMES, make

pytestmark = pytest.mark.train

JUDGE = {"model": "judge-1", "base_url": "http://127.0.0.1:1/v1", "key_variable": "JUDGE_KEY", "patience": 0}


def _quiet(what: str, done: float) -> None:
    pass


@pytest.fixture(scope="module")
def assets() -> Path:
    return micro_assets()


def _task(**evaluation: Any) -> LlavaTask:
    task = micro_task()
    return task.with_config(task.config.model_copy(update={"evaluation": evaluation}))


def _backend(assets: Path, **settings: Any) -> TransformersBackend:
    backend = TransformersBackend(Evaluation(**settings), layout.base_model(assets), threads=1, batch=8)
    backend.load(layout.base_model(assets))
    return backend


# --- settings ---


@pytest.mark.parametrize(
    ("evaluation", "named"),
    [
        ({"backend": "guess"}, "evaluation.backend"),
        ({"temperature": 1.0}, "evaluation.temperature"),
        ({"judge": {"model": "x"}}, "evaluation.judge.base_url"),
        ({"judge": {**JUDGE, "key": "sk-secret"}}, "evaluation.judge.key"),
    ],
)
def test_wrong_settings_are_named(evaluation: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigInvalid, match=named):
        _task(**evaluation)


def test_what_decides_over_scores_decides_over_what_compares() -> None:
    plain, digest = _task(), recipe_digest
    assert digest(_task(memory_share=0.5, together=8, interpreter="/x/python", asked_twice=0)) == digest(plain)
    for other in ({"backend": "vllm"}, {"dtype": "bfloat16"}, {"context": 100}, {"deterministic": False}):
        assert digest(_task(**other)) != digest(plain), other
    judged = digest(_task(judge=JUDGE))
    assert judged != digest(plain)
    assert digest(_task(judge={**JUDGE, "base_url": "http://other/v1", "concurrency": 2})) == judged
    assert digest(_task(judge={**JUDGE, "calls": 5})) != judged


def test_the_judges_key_goes_to_the_scoring_worker_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    task = _task(judge=JUDGE, backend="vllm", interpreter="/opt/vllm/bin/python")
    spec = task.worker("evaluate")
    assert spec.inherited == ("JUDGE_KEY",)
    assert spec.interpreter == Path("/opt/vllm/bin/python")
    assert all(
        (folder / "curation_plugins").exists() or (folder / "curation_sandbox").exists()
        for folder in spec.python_path
    )
    assert "sk-secret" not in spec.model_dump_json()
    assert (task.worker("train").inherited, task.worker("train").interpreter) == ((), None)


# --- the transformers engine ---


def test_answers_follow_no_settings_that_came_with_the_base_model(assets: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    shutil.copytree(layout.base_model(assets), told)
    published = json.loads((told / "generation_config.json").read_text())
    forced = {"repetition_penalty": 1.5, "no_repeat_ngram_size": 1, "do_sample": True, "min_new_tokens": 5}
    (told / "generation_config.json").write_text(json.dumps(published | forced))
    image = sorted((layout.pool(assets) / "images").iterdir())[0]
    requests = [Request(text, (image,), 12) for text in ("What is it?", "What is to the left?", "Say a word.")]
    answers = []
    for folder in (layout.base_model(assets), told):
        backend = TransformersBackend(Evaluation(), folder, threads=1, batch=8)
        backend.load(folder)
        answers.append(backend.answer(requests, _quiet))
    assert answers[0] == answers[1]


def test_prompts_without_image_with_several_and_too_long_ones(assets: Path) -> None:
    images = tuple(sorted((layout.pool(assets) / "images").iterdir())[:3])
    requests = [
        Request("What is it?", images[:1], 6),
        Request("What is it?", (), 6),
        Request("What are they?", images[1:], 6),
        Request("Which? " * 60, images[:1], 6),
        Request("What is it?", images[:1], 2),
    ]
    together = _backend(assets, context=64).answer(requests, _quiet)
    alone = [_backend(assets, context=64).answer([request], _quiet)[0] for request in requests]
    assert together == alone
    assert together[3] is None, "it does not fit"
    assert None not in (together[0], together[1], together[2])
    short, long = together[4], together[0]
    assert short is not None
    assert long is not None
    assert long.startswith(short), "the same question under a lower limit"


@pytest.mark.parametrize("family", NAMES)
def test_every_family_answers_in_batches_as_alone(family: str, tmp_path: Path) -> None:
    folder = make(family, tmp_path / "model")
    pictures = []
    for n, size in enumerate([(40, 40), (90, 40), (40, 40), (60, 60)]):
        pictures.append(tmp_path / f"{n}.png")
        Image.effect_noise(size, 60).convert("RGB").save(pictures[-1])
    requests = [Request("What is it?", (picture,), 5) for picture in pictures]
    requests += [Request("What are they?", (pictures[0], other), 5) for other in pictures[1:]]
    requests += [Request("Is it so?", (), 5), Request("Is it no?", (), 3)]
    backend = TransformersBackend(Evaluation(), folder, threads=1, batch=8)
    backend.load(folder)
    together = backend.answer(requests, _quiet)
    assert together == [backend.answer([request], _quiet)[0] for request in requests]
    assert len(set(together)) > 1


def test_nothing_of_the_model_before_is_left(assets: Path, tmp_path: Path) -> None:
    base = layout.base_model(assets)
    other = _changed(base, tmp_path / "other", lambda name, tensor: torch.roll(tensor, 1, 0))
    paths = sorted((layout.pool(assets) / "images").iterdir())[:8]
    requests = [Request("What is it?", (path,), 8) for path in paths]
    warm = _backend(assets)
    first = warm.answer(requests, _quiet)
    warm.rest()
    warm.load(other)
    second = warm.answer(requests, _quiet)
    cold = TransformersBackend(Evaluation(), base, threads=1, batch=8)
    cold.load(other)
    assert second == cold.answer(requests, _quiet)
    assert second != first, "models that answer alike would prove nothing"


# --- checkpoints ---


def _changed(base: Path, folder: Path, change: Any) -> Path:
    folder.mkdir()
    for file in base.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    weights = {name: change(name, tensor) for name, tensor in load_file(base / "model.safetensors").items()}
    kept = {name: tensor.contiguous() for name, tensor in weights.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_checkpoint_of_another_model_is_refused(assets: Path, tmp_path: Path) -> None:
    base, backend = layout.base_model(assets), _backend(assets)
    wider = _changed(
        base, tmp_path / "m", lambda name, tensor: torch.cat([tensor, tensor]) if "norm" in name else tensor
    )
    with pytest.raises(AssetsInvalid, match=r"has .* weights of shape"):
        backend.load(wider)
    (wider / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(AssetsInvalid, match="no weights can be read"):
        backend.load(wider)


def test_weights_that_are_no_numbers_are_refused(assets: Path, tmp_path: Path) -> None:
    base = layout.base_model(assets)
    broken = _changed(base, tmp_path / "m", lambda name, tensor: tensor / 0 if "lm_head" in name else tensor)
    with pytest.raises(AssetsInvalid, match=r"lm_head\.weight holds NaN or infinity"):
        list(tensors(broken))  # on its way into vLLM
    with pytest.raises(AssetsInvalid, match=r"lm_head\.weight holds"):
        _backend(assets).load(broken)


def test_tensors_are_named_as_on_the_hub(assets: Path) -> None:
    assert (
        published_name("model.vision_tower.encoder.layers.0.q")
        == "model.vision_tower.vision_model.encoder.layers.0.q"
    )
    kept = "vision_tower.vision_model.encoder.layers.0.q"
    assert published_name(kept) == kept
    names = [name for name, _ in tensors(layout.base_model(assets))]
    assert any("vision_tower.vision_model.embeddings" in name for name in names)
    assert not any("vision_tower.embeddings" in name for name in names)


# --- from answers to the item file ---

HALLUSION = [("chart", "0", "0", "0"), ("chart", "0", "0", "1"), ("chart", "0", "1", "0"), ("map", "2", "0", "0")]
CHOICE = {"options": {"A": "red", "B": "blue"}, "answer": "A"}


def _items() -> list[BenchmarkItem]:
    """Items of all eight; several groups with several items."""
    made = []
    for name in ("MMStar", "MMMU"):
        made += [item(name, str(n), group=f"g{n}", facts={}, **CHOICE) for n in range(4)]
    made += [item("OCRBench", str(n), group=f"g{n}", answer="['stop']", facts={"category": "x"}) for n in range(3)]
    for n in range(6):
        facts = {"question": str(n // 2), "copies": "2"}
        made.append(item("MMBench", str(n), group=f"q{n // 2}", facts=facts, **CHOICE))
    for n, (kind, number, figure, question) in enumerate(HALLUSION):
        facts = {"l2-category": kind, "set": number, "figure": figure, "question": question, "category": "VD"}
        made.append(item("HallusionBench", str(n), group=f"h{kind}", answer="Yes", facts=facts))
    facts = {"answer_type": "integer", "task": "t", "skills": ""}
    made += [item("MathVista", str(n), group=f"m{n}", answer="4", facts=facts) for n in range(3)]
    made += [item("MMVet", str(n), group="v", facts={"category": "ocr"}) for n in range(3)]
    facts = {"category": "conv", "caption": "c"}
    made += [item("LLaVABench", str(n), group=f"l{n % 2}", facts=facts) for n in range(3)]
    return made


def _graded(body: dict[str, Any]) -> str:
    said = body["messages"][1]["content"]
    if '"grade"' in said:
        return '{"grade": 0.7}' if "4" in said else "I would rather not."
    if "assistant_1" in said:
        return '{"assistant_1": 8, "assistant_2": 6}' if "blue" not in said else "no"
    return '{"result": "4"}'


def _judge(fake: FakeJudge, cache: Path) -> Judge:
    return Judge(JudgeConfig(model="judge-1", base_url=fake.base_url, calls=1, patience=0), cache)


@pytest.mark.parametrize("seed", range(4))
def test_the_harness_reads_the_scores_that_the_benchmarks_mean(seed: int, tmp_path: Path) -> None:
    """The item file holds enough for each benchmark's own score, and the sums over it come to the same."""
    items = _items()
    chance = random.Random(seed)
    answers = [chance.choice(["A", "B", "blue", "Yes", "no", "4", "perhaps 4 stop", ""]) for _ in items]
    with serving(_graded) as fake:
        lines = results(items, answers, _judge(fake, tmp_path))
        own = {}
        for name in {entry.benchmark for entry in items}:
            scorer = benchmark(name, _judge(fake, tmp_path))
            pairs = [(entry, answer) for entry, answer in zip(items, answers, strict=True) if entry.benchmark == name]
            scores = scorer.score_all([entry for entry, _ in pairs], [answer for _, answer in pairs])
            own[name] = scorer.aggregate([(entry, score) for (entry, _), score in zip(pairs, scores, strict=True)])
    read = [ItemResult.model_validate_json(json.dumps(line)) for line in lines]
    assert [(line.benchmark, line.item, line.group) for line in read] == [
        (i.benchmark, i.item, i.group) for i in items
    ]
    total = aggregate(read, GRADED)
    assert {kind.name for kind in PUBLIC if kind.judge_role == "grades"} == set(GRADED)
    assert {kind.name for kind in PUBLIC} == own.keys() == total.by_benchmark.keys()
    for name, score in own.items():
        assert total.by_benchmark[name].mean == pytest.approx(score.value), name
        counts = total.unscored.get(name)
        told = (counts.answer, counts.judge) if counts else (0, 0)
        assert told == (score.unscored_answer, score.unscored_judge), name
    assert total.without_judge is not None
    bare = [score.value for name, score in own.items() if name not in GRADED]
    assert total.without_judge.mean == pytest.approx(sum(filter(None, bare)) / len(bare))


@pytest.mark.parametrize("judged", [True, False])
def test_items_are_scored_the_same_again_from_what_was_said(judged: bool, tmp_path: Path) -> None:
    items, path = _items(), tmp_path / "predictions.jsonl"
    chance = random.Random(7)
    answers = [chance.choice(["A", "B", "blue", "Yes", "no", "4", "perhaps 4 stop", ""]) for _ in items]
    with serving(_graded) as fake:
        heard = Overheard(_judge(fake, tmp_path / "cache")) if judged else None
        lines = results(items, answers, heard)
        asked = len(fake.requests)
    said = list(predictions(items, answers, heard.replies if heard else None))
    path.write_text("".join(json.dumps(line) + "\n" for line in said))
    again = list(rescore(path, items, judged))  # nobody serves any more
    assert again == [ItemResult.model_validate(line) for line in lines]
    assert sum(isinstance(line["answer"], dict) for line in said) >= asked > 0 or not judged
    other = [{**said[0], "answer": "B" if answers[0] == "A" else "A"}, *said[1:]]
    path.write_text("".join(json.dumps(line) + "\n" for line in other))
    assert next(rescore(path, items, judged)) != again[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[1:], "not of the items of this half"),
        (lambda lines: lines[::-1], "not of the items of this half"),
        (lambda lines: [{**line, "answer": 4} for line in lines], "line 1: the answer is neither"),
        (lambda lines: [{**line, "answer": {"text": "A", "judge": [1]}} for line in lines], "the answer is neither"),
        (
            lambda lines: [{**line, "answer": "what?"} for line in lines],
            "the judge's replies to an answer are not kept",
        ),
        (lambda lines: [{**line, "more": 1} for line in lines], "line 1: no prediction"),
    ],
    ids=["missing", "order", "number", "reply", "no-reply", "form"],
)
def test_predictions_that_were_changed_are_named(change: Any, says: str, tmp_path: Path) -> None:
    items, path = [entry for entry in _items() if entry.benchmark in GRADED], tmp_path / "predictions.jsonl"
    with serving(_graded) as fake:
        heard = Overheard(_judge(fake, tmp_path / "cache"))
        results(items, ["4"] * len(items), heard)
    said = list(predictions(items, ["4"] * len(items), heard.replies))
    path.write_text("".join(json.dumps(line) + "\n" for line in change(said)))
    with pytest.raises(WorkerReplyInvalid, match=says):
        list(rescore(path, items, judged=True))


def test_without_a_judge_graded_items_are_unscored_and_never_zero() -> None:
    items = [entry for entry in _items() if entry.benchmark in GRADED]
    lines = results(items, ["4"] * len(items), None)
    assert {(line["score"], line["unscored"], line["reason"]) for line in lines} == {
        (None, "judge", "no judge is set up")
    }


# --- the worker ---


class Wavering(Backend):
    """Says another thing to every fourth request that it was asked before."""

    name = "wavering"
    loaded = rests = 0

    def __init__(self) -> None:
        self.seen: dict[Request, int] = {}

    def load(self, model: Path) -> None:
        self.loaded += 1

    def answer(self, requests: Sequence[Request], progress: Progress) -> list[str | None]:
        again = sum(request in self.seen for request in requests)
        for request in requests:
            self.seen[request] = len(self.seen)
        return [f"{n % 4 == 0 and again}" for n, _ in enumerate(requests)] if again else ["0"] * len(requests)

    def rest(self) -> None:
        self.rests += 1

    def about(self) -> dict[str, str]:
        return {"backend": self.name}


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> tuple[Evaluator, list[Wavering]]:
    made: list[Wavering] = []

    def start(*arguments: Any) -> Wavering:
        made.append(Wavering())
        return made[-1]

    monkeypatch.setattr("curation_plugins.tasks.llava.evaluate.open_backend", start)
    return Evaluator(), made


def _job(folder: Path, **evaluation: Any) -> dict[str, Any]:
    out = str(folder / "items.jsonl")
    return {
        "model": None,
        "assets": str(folder),
        "split": "public",
        "recipe": RECIPE,
        "evaluation": evaluation,
        "out": out,
        "predictions": str(folder / "predictions.jsonl"),
    }


@pytest.fixture
def vet(tmp_path: Path) -> Path:
    layout.benchmarks(tmp_path).mkdir()
    items = [
        item("MMVet", str(n), question=f"{n}?", prompt=(0, f"{n}?"), facts={"category": "ocr"}) for n in range(12)
    ]
    write_items(layout.benchmarks(tmp_path), "public", items)
    return tmp_path


def test_one_engine_for_all_jobs_which_rests_between_them(worker: Any, vet: Path) -> None:
    evaluator, made = worker
    for _ in range(3):
        evaluator.evaluate(_job(vet), _quiet)
    assert (len(made), made[0].loaded, made[0].rests) == (1, 3, 3)
    evaluator.evaluate(_job(vet, dtype="bfloat16"), _quiet)
    assert len(made) == 2, "other settings, another engine"


def test_answers_that_differ_when_asked_again_are_counted(worker: Any, vet: Path) -> None:
    told = EvaluateResult.model_validate(worker[0].evaluate(_job(vet, asked_twice=8), _quiet))
    assert told.notes == {"asked_twice": 8, "flipped": 8, "too_long": 0}
    none = EvaluateResult.model_validate(worker[0].evaluate(_job(vet, asked_twice=0), _quiet))
    assert none.notes["asked_twice"] == 0


def test_a_judge_that_is_down_is_ours_and_nothing_is_written(worker: Any, vet: Path) -> None:
    evaluator, made = worker
    job = _job(vet, judge={**JUDGE, "key_variable": None, "calls": 1})
    with pytest.raises(JudgeUnavailable, match="does not answer"):
        evaluator.evaluate(job, _quiet)
    assert not Path(job["out"]).exists()
    assert made[0].rests == 1, "the card is free while somebody mends the judge"


def test_a_judge_grades_and_is_named(worker: Any, vet: Path) -> None:
    with serving(lambda body: '{"grade": 0.5}') as fake:
        config = {**JUDGE, "base_url": fake.base_url, "key_variable": None, "calls": 2}
        said: list[str] = []
        told = worker[0].evaluate(_job(vet, judge=config), lambda what, done: said.append(what))
        assert "asking the judge judge-1" in said, "a silent worker is taken for a dead one"
        lines = [json.loads(line) for line in (vet / "items.jsonl").read_text().splitlines()]
        assert [line["score"] for line in lines] == [0.5] * 12
        assert json.loads(told["about"]["judge"])["model"] == "judge-1"
        kept = [json.loads(line) for line in (vet / "predictions.jsonl").read_text().splitlines()]
        assert {tuple(line["answer"]["judge"]) for line in kept} == {('{"grade": 0.5}',) * 2}
        worker[0].evaluate(_job(vet, judge=config), _quiet)  # with other answers
        asked = len(fake.requests)
        worker[0].evaluate(_job(vet, judge=config), _quiet)
    assert len(fake.requests) == asked > 24, "replies that were had are not asked for again"


def test_images_of_items_are_squared_for_every_engine(assets: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "red").save(tmp_path / "wide.png")
    picture = _backend(assets)._asking.picture(tmp_path / "wide.png")
    assert picture.size == (40, 40)


# --- what is missing is said before anything starts ---


def test_a_launch_without_what_scoring_needs_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    micro_task().require_ready()
    graded = ("MMVet", "MMStar", "LLaVABench")
    with pytest.raises(ConfigInvalid, match=r"^LLaVABench and MMVet are graded by a judge") as told:
        Evaluation().require_ready([name for name in sorted(graded) if name in GRADED])
    assert "evaluation.judge.model" in str(told.value.hint)
    with pytest.raises(ConfigInvalid, match="JUDGE_KEY is not set"):
        _task(judge=JUDGE).require_ready()
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    _task(judge=JUDGE).require_ready()
    with pytest.raises(ConfigInvalid, match="no program that can be run"):
        _task(backend="vllm", interpreter=str(tmp_path / "python")).require_ready()
    bare = venv.EnvBuilder(symlinks=True)
    bare.create(tmp_path / "bare")
    python = tmp_path / "bare" / "bin" / "python"
    with pytest.raises(ConfigInvalid, match=r"backend is vllm, and .*bare/bin/python has none"):
        _task(backend="vllm", interpreter=str(python)).require_ready()
    packages = next((tmp_path / "bare" / "lib").glob("python*/site-packages"))
    (packages / "vllm.py").write_text("raise SystemExit('not to be imported')")
    evaluation._has_vllm.cache_clear()
    _task(backend="vllm", interpreter=str(python)).require_ready()


def test_a_named_variable_reaches_the_worker_and_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    monkeypatch.setenv("OTHER_KEY", "sk-other")
    code = "import json, os; json.dump(sorted(os.environ), open(os.environ['OUT'], 'w'))"
    body = f"class Says:\n    def evaluate(self, job, progress):\n        {code}\n        return {{'items': 1}}\n"
    (tmp_path / "said.py").write_text(body)
    spec = WorkerSpec(
        entry="said:Says",
        python_path=(tmp_path,),
        inherited=("JUDGE_KEY",),
        environment={"OUT": str(tmp_path / "names.json")},
    )
    job = EvaluateJob(model=None, assets=tmp_path, split="public", recipe={}, out=tmp_path / "o")
    with LocalEngine().open(run_id="said", log=tmp_path / "log", config=micro_task().config) as session:
        session.call(spec, "evaluate", job, EvaluateResult, _quiet)
    names = json.loads((tmp_path / "names.json").read_text())
    assert "JUDGE_KEY" in names
    assert "OTHER_KEY" not in names
