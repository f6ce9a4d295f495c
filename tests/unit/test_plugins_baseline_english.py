"""The rule that stands in for fastText: which captions are English."""

from __future__ import annotations

from curation_plugins.agents.programs.baseline.selection.english import is_english

HELD_OUT = {
    True: (
        "A woman riding a bicycle past the old market",
        "How to bake sourdough bread at home",
        "Men's brown leather belt with silver buckle",
        "Handwritten digit nine on lined paper",
        "Portrait of a smiling grandmother",
        "Best hiking trails near the coast",
        "Wireless headphones with charging cable",
        "The history of the lighthouse",
    ),
    False: (
        "Eine Frau fährt mit dem Fahrrad über den Markt",
        "Handgemalte Postkarte mit einem roten Haus",
        "Une femme à vélo devant le marché",
        "Ceinture en cuir pour homme avec boucle",
        "Una mujer en bicicleta por el mercado",
        "Cinturón de cuero marrón para hombre",
        "Una donna in bicicletta davanti al mercato",
        "Uma mulher de bicicleta no mercado velho",
        "Een vrouw op de fiets langs de markt",
        "En kvinna cyklar förbi torget",
        "Kobieta jedzie na rowerze obok rynku",
        "Nainen pyöräilee vanhan torin ohi",
        "Pazarın önünden bisikletle geçen bir kadın",
        "Seorang wanita bersepeda melewati pasar",
        "Женщина едет на велосипеде",
        "自転車に乗る女性",
        "امرأة تركب دراجة",
        "12345 -- 678",
        "",
    ),
}


def test_the_stand_in_for_fasttext_tells_plain_captions_apart() -> None:
    for wanted, captions in HELD_OUT.items():
        right = is_english(list(captions)) == wanted
        assert right.mean() >= 0.9, [text for text, ok in zip(captions, right, strict=True) if not ok]


def test_a_caption_s_language_does_not_depend_on_those_beside_it() -> None:
    texts = [text for captions in HELD_OUT.values() for text in captions] + ["İstanbul", "a\nb", "ﬁ"]
    assert is_english(texts).tolist() == [bool(is_english([text])[0]) for text in texts]
    assert is_english([]).tolist() == []
