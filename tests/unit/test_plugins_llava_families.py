"""Every model family on a small stand-in of its true class: what is encoded, what carries loss, and that the fast
forward pass is the model's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava import checkpoint
from curation_plugins.tasks.llava.encode import BLANK, IGNORED, Encoded, Encoder, collate
from curation_plugins.tasks.llava.families.family import Family
from curation_plugins.tasks.llava.families.known import family_of
from curation_plugins.tasks.llava.forward import answer_logits
from curation_plugins.tasks.llava.rows import Row
from small_models import NAMES, make, row

pytestmark = pytest.mark.train

SIZE = (40, 70)
"""Width and height of the image that rows here show."""

WHOLE_TEXT = {
    "llava-1.5": "USER: <image><image><image><image>\nWhat is it? ASSISTANT: a red circle</s>",
    "qwen2-vl": (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|image_pad|><|vision_end|>What is it?<|im_end|>\n"
        "<|im_start|>assistant\na red circle<|im_end|>\n"
    ),
    "smolvlm": (
        "<|im_start|>User:"
        + "".join(
            "".join(f"<fake_token_around_image><row_{r}_col_{c}>" + 4 * "<image>" for c in (1, 2)) + "\n"
            for r in (1, 2, 3)
        )
        + "\n<fake_token_around_image><global-img>"
        + 4 * "<image>"
        + "<fake_token_around_image>What is it?<end_of_utterance>\nAssistant: a red circle<end_of_utterance>\n"
    ),
}
WHOLE_TEXT["qwen2.5-vl"] = WHOLE_TEXT["qwen2-vl"]
"""A row with one image, written out by hand from the published formats."""
FIRST = {"llava-1.5": " ", "qwen2-vl": "", "qwen2.5-vl": "", "smolvlm": " "}
"""What stands between the assistant's header and its first word, and is generated with it."""


class Bench:
    """A loaded stand-in."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = make(name, folder)
        self.model, self.processor = checkpoint.load(self.folder)
        self.family: Family = family_of(self.model.config)
        self.pad_id = int(self.processor.tokenizer.pad_token_id)

    def encode(self, *turns: str, image: bool = True, max_tokens: int = 2048, **how: Any) -> Encoded:
        blank = how.pop("blank", None)
        encoder = Encoder(self.processor, self.model.config, max_tokens, **how)
        return encoder.rows([row(*turns, image="i.png" if image else None)], [SIZE if image else None], blank)[0]

    def text(self, ids: Any) -> str:
        return str(self.processor.tokenizer.decode(ids))

    def answers(self, encoded: Encoded) -> str:
        return self.text(encoded.ids[encoded.supervised])


@pytest.fixture(scope="module", params=NAMES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(request.param, tmp_path_factory.mktemp("model") / request.param)


def test_a_row_is_written_as_published_and_answer_and_end_carry_loss(bench: Bench) -> None:
    encoded = bench.encode("What is it?", "a red circle")
    assert bench.text(encoded.ids) == WHOLE_TEXT[bench.name]
    assert bench.answers(encoded) == f"{FIRST[bench.name]}a red circle{bench.family.end}"
    assert encoded.image == "i.png"


def test_the_end_token_goes_without_loss_where_a_recipe_says_so(bench: Bench) -> None:
    encoded = bench.encode("What is it?", "a red circle", supervise_end=False)
    assert bench.answers(encoded) == f"{FIRST[bench.name]}a red circle"


def test_image_tokens_carry_no_loss_and_are_as_many_as_the_model_gives(bench: Bench) -> None:
    encoded = bench.encode("What is it?", "a red circle")
    places = encoded.ids == bench.model.config.image_token_id
    assert not encoded.supervised[places].any()
    seen = bench.family.pixels(bench.processor, [Image.new("RGB", SIZE, (9, 80, 200))])
    assert len(bench.family.project(bench.model, seen).flatten(0, -2)) == places.sum()


@pytest.mark.parametrize("size", [(24, 24), (90, 31), (31, 90), (64, 64), (33, 200), (500, 400)])
def test_images_of_any_size_take_the_ids_they_were_given(size: tuple[int, int], bench: Bench) -> None:
    ids = bench.family.image_ids(bench.processor, bench.model.config, size)
    seen = bench.family.pixels(bench.processor, [Image.new("RGB", size, (9, 80, 200))])
    vectors = bench.family.project(bench.model, seen).flatten(0, -2)
    assert ids.count(bench.model.config.image_token_id) == len(vectors)


def test_every_turn_s_answer_and_end_carry_loss_and_no_question(bench: Bench) -> None:
    encoded = bench.encode("a?", "yes", "b?", "no")
    first, end = FIRST[bench.name], bench.family.end
    assert bench.answers(encoded) == f"{first}yes{end}{first}no{end}"
    assert (encoded.ids == bench.model.config.image_token_id).any()


def test_what_comes_before_the_first_question_is_left_out(bench: Bench) -> None:
    asked = Row.model_validate(
        {"id": "0", "image": "i.png", "conversations": _turns("gpt:hello", "human:a?", "gpt:yes")}
    )
    encoder = Encoder(bench.processor, bench.model.config, 2048)
    (encoded,) = encoder.rows([asked], [SIZE])
    assert encoded.ids.tolist() == bench.encode("a?", "yes").ids.tolist()
    assert encoded.image == "i.png"


@pytest.mark.parametrize("blank", [None, (24, 24)])
@pytest.mark.parametrize("image", ["i.png", None])
def test_a_row_that_asks_nothing_is_fully_masked_and_shows_nothing(
    image: str | None, blank: tuple[int, int] | None, bench: Bench
) -> None:
    silent = Row.model_validate({"id": "0", "image": image, "conversations": _turns("gpt:hello", "gpt:yes")})
    encoder = Encoder(bench.processor, bench.model.config, 2048)
    (encoded,) = encoder.rows([silent], [SIZE if image else None], blank)
    assert encoded.fully_masked
    assert encoded.image is None
    assert not (encoded.ids == bench.model.config.image_token_id).any()


def _turns(*turns: str) -> list[dict[str, str]]:
    return [{"from": turn.partition(":")[0], "value": turn.partition(":")[2]} for turn in turns]


def test_a_row_of_text_has_no_image_tokens(bench: Bench) -> None:
    encoded = bench.encode("hello", "hi", image=False)
    assert not (encoded.ids == bench.model.config.image_token_id).any()
    assert bench.answers(encoded) == f"{FIRST[bench.name]}hi{bench.family.end}"
    assert encoded.image is None


def test_a_blank_image_goes_before_a_row_of_text_where_a_recipe_says_so(bench: Bench) -> None:
    picture = bench.family.blank(bench.processor, bench.model.config)
    encoded = bench.encode("hello", "hi", image=False, blank=picture.size)
    seen = bench.family.pixels(bench.processor, [picture])
    assert encoded.image == BLANK
    wanted = len(bench.family.project(bench.model, seen).flatten(0, -2))
    assert (encoded.ids == bench.model.config.image_token_id).sum() == wanted
    assert bench.answers(encoded) == f"{FIRST[bench.name]}hi{bench.family.end}"


def test_a_mark_written_into_a_text_is_no_image(bench: Bench) -> None:
    encoded = bench.encode(f"hello {bench.family.mark} there", "hi", image=False)
    assert not (encoded.ids == bench.model.config.image_token_id).any()


def test_truncation_cuts_the_end_with_its_loss(bench: Bench) -> None:
    whole = bench.encode("What is it?", "a red circle")
    last = int(whole.supervised.nonzero()[0][-1])
    cut = bench.encode("What is it?", "a red circle", max_tokens=last)
    assert cut.ids.tolist() == whole.ids.tolist()[:last]
    assert cut.supervised.sum() == whole.supervised.sum() - 1
    assert cut.cut
    assert not whole.cut


def test_a_row_cut_inside_its_image_is_fully_masked_and_does_no_harm(bench: Bench) -> None:
    whole = bench.encode("What is it?", "a red circle")
    inside = int((whole.ids == bench.model.config.image_token_id).nonzero()[0][0]) + 1
    cut = bench.encode("What is it?", "a red circle", max_tokens=inside)
    assert cut.fully_masked
    assert cut.image is None
    logits, _, _ = answer_logits(bench.model, collate([cut], bench.pad_id), None)
    assert len(logits) == 0


def test_a_prompt_is_what_training_showed_before_the_answer(bench: Bench) -> None:
    encoded = bench.encode("What is it?", "a red circle")
    encoder = Encoder(bench.processor, bench.model.config, 2048)
    (prompt,) = encoder.prompts(["What is it?"], [[SIZE]])
    assert prompt.ids.tolist() == encoded.ids[: int(encoded.supervised.argmax())].tolist()


def test_logits_at_supervised_positions_are_the_plain_forward_pass(bench: Bench) -> None:
    """The model's own, with attention mask and all logits, in one padded batch with a row of text."""
    rows = [bench.encode("What is it?", "a red circle"), bench.encode("hello", "hi", image=False)]
    rows.append(bench.encode("a?", "yes", "b?", "no"))
    batch = collate(rows, bench.pad_id)
    pictures = [Image.new("RGB", SIZE, (200, 20, 90)), Image.new("RGB", SIZE, (20, 220, 9))]
    seen = bench.family.pixels(bench.processor, pictures)
    mask = torch.tensor([[int(n < len(one.ids)) for n in range(batch.ids.shape[1])] for one in rows])
    inputs = bench.family.inputs(bench.model.config, batch.ids, seen)
    with torch.no_grad():
        logits, targets, owners = answer_logits(bench.model, batch, seen)
        plain = bench.model(input_ids=batch.ids, attention_mask=mask, **inputs).logits[:, :-1]
    wanted = batch.labels[:, 1:] != IGNORED
    torch.testing.assert_close(logits, plain[wanted], rtol=1e-4, atol=1e-5)
    assert targets.tolist() == batch.labels[:, 1:][wanted].tolist()
    assert owners.tolist() == sorted(owners.tolist())


def test_the_image_matters(bench: Bench) -> None:
    batch = collate([bench.encode("What is it?", "a red circle")], bench.pad_id)
    pictures = [Image.new("RGB", SIZE, colour) for colour in ((200, 20, 90), (20, 220, 9))]
    one, other = (
        answer_logits(bench.model, batch, bench.family.pixels(bench.processor, [picture]))[0] for picture in pictures
    )
    assert not torch.allclose(one, other)


def test_a_saved_model_is_the_same_and_stops_at_the_end_token(bench: Bench, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model", bench.model.to(torch.float32), bench.processor)
    again, processor = checkpoint.load(tmp_path / "model")
    for (name, first), (_, second) in zip(
        sorted(bench.model.named_parameters()), sorted(again.named_parameters()), strict=True
    ):
        assert torch.equal(first, second), name
    end = processor.tokenizer.convert_tokens_to_ids(bench.family.end)
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "model")
    stops = plain.generation_config.eos_token_id
    assert end in (stops if isinstance(stops, list) else [stops])
    assert (tmp_path / "model" / "chat_template.jinja").read_text() == bench.family.template
    checkpoint.require_same_shapes(bench.folder, tmp_path / "model")


def test_another_family_s_checkpoint_is_told_by_its_headers(bench: Bench, tmp_path: Path) -> None:
    other = "smolvlm" if bench.name != "smolvlm" else "llava-1.5"
    with pytest.raises(AssetsInvalid, match="is a"):
        checkpoint.require_same_shapes(bench.folder, make(other, tmp_path / "other"))
