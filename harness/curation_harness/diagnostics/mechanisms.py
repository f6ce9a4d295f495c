"""Which kinds of mechanism a policy holds, and which of them decides the bulk: told from what its code reads and
computes. Evidence, never proof: rules of thumb, checked on the labelled corpus (``docs/diagnostics.md``)."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from curation_harness.diagnostics.judgement import Family
from curation_harness.diagnostics.tries import Try
from curation_plugins.policies.code import PolicyCode
from curation_plugins.policies.words import names

SIGNALS: Final = {
    "gradient": "gradient", "gradients": "gradient", "grad": "gradient",
    "embedding": "embedding", "embeddings": "embedding", "clip_embeddings": "embedding", "neighbours": "embedding",
    "answer_loss": "loss", "loss": "loss", "el2n": "loss", "perplexity": "loss",
    "similarity": "similarity", "image_hash": "image_hash",
}  # fmt: skip
"""Names of shipped and bought signals → what they are of."""
TEXT: Final = frozenset({"conversations", "value", "text", "answer", "question", "caption", "prompt"})

_TRAINED: Final = re.compile(
    r"sklearn\.(linear_model|ensemble|svm|naive_bayes|neural_network|tree|discriminant_analysis|gaussian_process)"
    r"|predict_proba|cross_val_predict|decision_function|Classifier|\.backward|lstsq|linalg\.solve|pinv"
)
_CLUSTERED: Final = re.compile(r"KMeans|Agglomerative|DBSCAN|GaussianMixture|SpectralClustering|Birch")
_HASHED: Final = re.compile(r"(sha1|sha256|md5|blake2b|blake2s|bit_count|simhash|minhash|MinHash)$")
_SPREAD: Final = frozenset({"argmax", "argmin", "heappop", "diagonal", "diag", "slogdet", "det", "cdist"})
_RULES: Final = names(
    "draw in sort split index findall search map order find count len equal lower match any filter round"
    " default_rng groupby concat apply head tail query Series DataFrame reset_index set_index notna merge"
    " value_counts"
)
"""Operations of draws, shares and rules, tables' own among them."""
_RATIOS: Final = names("mul sum mean add")
"""With rules beside them, shares of characters and the like."""
_SET_OVERLAP: Final = re.compile(r"len\([^()&|]*[&|][^()]*\)|\.intersection\(|jaccard", re.IGNORECASE)
_MAPPED: Final = re.compile(r"""['"]\w+['"]\s*[:=]\s*\d""")


@dataclass(frozen=True, kw_only=True)
class Mechanisms:
    bulk: Family
    parts: frozenset[Family]
    """All that were found, the bulk's among them."""
    signals: frozenset[str]
    """What content it reads: gradient, embedding, loss, similarity, image_hash, text."""
    groups: bool
    """Whether it takes shares of metadata groups."""
    why: str


def mechanisms(one: Try) -> Mechanisms:
    """Of a try with readable code."""
    if "mechanisms" not in one.memo:
        one.memo["mechanisms"] = _mechanisms(one)
    found: Mechanisms = one.memo["mechanisms"]
    return found


def _mechanisms(one: Try) -> Mechanisms:
    assert one.code is not None
    facts = _Facts(one, one.code)
    found = list(dict.fromkeys(facts.families()))
    bulk, why = found[0]
    return Mechanisms(
        bulk=bulk,
        parts=frozenset(family for family, _ in found),
        signals=facts.signals,
        groups=facts.groups,
        why=f"{bulk}: {why}",
    )


def _spoken_off(text: str) -> str:
    """Code without its comments and docstrings: what they say decides no row."""
    kept: list[str] = []
    row, column, begins = 1, 0, True
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.COMMENT and not (token.type == tokenize.STRING and begins):
                kept += [" " * (token.start[1] - column) if token.start[0] == row else "\n", token.string]
                row, column = token.end
            if token.type != tokenize.NL:
                begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    except (tokenize.TokenError, SyntaxError):
        return text
    return "".join(kept)


class _Facts:
    """What is looked at, named once."""

    def __init__(self, one: Try, code: PolicyCode) -> None:
        self.code = code
        self.edges = set(code.features)
        self.ops = {name for name in code.features if ">" not in name}
        self.calls = " ".join(code.calls)
        self.texts = [constant.text.strip("'\"") for constant in code.constants]
        self.source = "\n".join(_spoken_off(text) for name, text in one.documents.items() if name.endswith(".py"))
        self.signals = self._signals()
        self.plain = self._is_plain() and not self._dedup()
        named = {name for name in code.metadata if name in ("source", "subset", "dataset", "turns", "role")}
        by_hand = bool(code.rules.get("equal")) and len(_MAPPED.findall(self.source)) >= 2
        shared = bool(self._shares()) or "groupby" in self.ops or (self.plain and by_hand)
        self.groups = bool(named) and shared and ("draw" in self.ops or "sort" in self.ops)
        self.weighted = one.weighted or (one.rows is None and "weight" in self.texts)

    def _is_plain(self) -> bool:
        """Whether nothing but chance, metadata and rules on words decides."""
        if self.ops & {"log", "exp", "matmul", "transform", "sha1", "md5", "crc32", "shift", "xor"}:
            return False
        if not self.code.content:
            return True
        if not self.signals <= {"text"} or self._target():
            return False
        return self.ops <= _RULES or bool(self.code.rules and "draw" in self.ops and self.ops <= _RULES | _RATIOS)

    def _signals(self) -> frozenset[str]:
        named = {*self.code.signals, *(re.split(r"[/\\]", text)[-1] for text in self.texts if len(text) < 80)}
        plain = {re.sub(r"\.(npy|npz|csv|jsonl?)$", "", name.lower()).replace("-", "_") for name in named}
        plain = {re.sub(r"_attempt\d*$", "", name) for name in plain}
        plain |= {word for text in self.texts if "@" in text or ">" in text for word in re.findall(r"[a-z_]+", text)}
        found = {SIGNALS[name] for name in plain if name in SIGNALS}
        compared = self.ops & {"in", "xor", "drop_duplicates", "duplicated", "unique", "shift", "equal", "groupby"}
        if "image_hash" in found and not compared and "bit_count" not in self.calls and "hash" not in self.calls:
            found.discard("image_hash")  # whether there is a picture, and not which
        return frozenset(found | ({"text"} if TEXT & set(self.code.signals) and self._looks_at_text() else set()))

    def _looks_at_text(self) -> bool:
        """Reading a signal's file also goes through ``value``; text is looked at where it is taken apart."""
        return "conversations" in self.code.signals or "text" in self.code.signals

    def _shares(self) -> dict[str, int]:
        trivial = {"min", "max", "sort", "equal", "eye", "identity", "ones"}
        return {name: count for name, count in self.code.formulas.items() if name not in trivial}

    def has(self, *names: str) -> bool:
        return any(name in self.ops for name in names)

    def edge(self, *names: str) -> bool:
        return any(name in self.edges for name in names)

    # -- families --------------------------------------------------------------------------------

    def families(self) -> Iterator[tuple[Family, str]]:
        """Those found, what decides the bulk first."""
        if self.plain:
            yield from self._plain()
            return
        if self.weighted:
            yield "curriculum", "rows carry different weights, so that repetition decides"
        yield from self._by_content()
        if self.groups and not self._mixture():
            yield "quota", "shares of metadata groups"
        keywords = self.code.rules and "text" in self.signals and self.has("in", "split", "find", "search")
        if keywords and (self.has("draw") or not self._target()):
            yield "threshold", "rules on words or metadata"

    def _plain(self) -> Iterator[tuple[Family, str]]:
        keywords = self.has("in", "split", "find", "search", "match") or "text" in self.signals
        if self.groups:
            yield "quota", "only shares of metadata groups and chance reach what is written"
        if self.code.rules.get("order") or self.code.rules.get("in") or keywords:
            yield "threshold", "only rules on metadata or words reach what is written"
        elif not self.groups and self.has("sort") and not self.has("draw"):
            yield "threshold", "rows are ranked by metadata"
        elif not self.groups and self.code.rules and {"source", "turns"} & {*self.code.metadata}:
            yield "quota", "rows are drawn by metadata groups"
        if not self.groups:
            yield "random", "no signal, share or rule is seen to reach what is written"

    def _by_content(self) -> Iterator[tuple[Family, str]]:
        signals = self.signals
        dedup = self._dedup()
        mixture = self._mixture()
        if "gradient" in signals or re.search(r"autograd|\.grad\b|jacobian", self.calls):
            yield "gradient-influence", "gradients are read"
        if mixture:
            yield "mixture-learning", "shares of groups follow from losses"
        if self._trained() and not mixture:
            yield "model-judgement", "a model is trained in the policy and rates rows"
        if self._matched():
            yield "distribution-matching", "rows are weighed against a target"
        if dedup and (not self._ranked() or "embedding" not in signals):
            yield "dedup", dedup
        if self._spread():
            yield "coverage", "rows are spread over an embedding"
        if dedup:
            yield "dedup", dedup
        yield "score-rank", "rows are ranked or banded by a figure of their own"

    def _mixture(self) -> bool:
        grouped = bool({"source", "subset", "dataset"} & set(self.code.metadata))
        if "loss" not in self.signals or not self.has("mean", "fmean", "sum"):
            return False
        if grouped:
            return self.has("draw") and self.has("exp", "predict", "mean") and not self.edge("index>sort", "mul>sort")
        return self.has("exp") and self.has("draw") and self.edge("mean>exp", "mul>exp", "add>exp")

    def _trained(self) -> bool:
        if _TRAINED.search(self.calls):
            return True
        # a logistic loss by hand: scores through exp, less the labels, back through the features
        guess = self.edge("matmul>exp") and self.edge("exp>add")
        return guess and self.edge("matmul>mul", "matmul>sum") and self.edge("add>matmul", "mul>matmul", "sum>matmul")

    def _target(self) -> bool:
        """Whether part of the pool, or text written into the policy, stands for what is wanted."""
        asked = sum(len(text.split()) >= 3 and text.endswith(("?", ".")) for text in self.texts)
        return asked >= 2 or (self.has("in") and self.edge("in>index", "in>mean", "in>matmul", "index>mean"))

    def _matched(self) -> bool:
        logs = self.has("log") and "loss" not in self.signals
        if logs and self.edge("draw>log"):  # Gumbel noise on log weights
            return True
        if self._target() and ("embedding" in self.signals or "text" in self.signals):
            met = self.has("mean", "sum", "log", "transform", "Counter")
            return met and "loss" not in self.signals and self.has("matmul", "mul", "log", "transform", "exp")
        return logs and self.edge("log>add") and self.has("order", "in", "quantile")

    def _dedup(self) -> str:
        if "image_hash" in self.signals:
            return "hashes of pictures are compared"
        if any(_HASHED.search(call) for call in self.code.calls) and not self.has("log"):
            return "hashes of texts are compared"
        if "text" in self.signals and self.signals <= {"text"} and _SET_OVERLAP.search(self.source):
            return "words that two texts share are counted"
        seen = self.has("in", "drop_duplicates", "duplicated") and not self.code.rules and not self._target()
        if self.signals == {"text"} and seen and self.ops <= _RULES | {"drop_duplicates", "duplicated"}:
            return "texts that were seen already are left out"
        close = self.edge("matmul>order", "max>order", "tril>order", "triu>order", "quantile>order", "matmul>max")
        if "embedding" in self.signals and close and self.has("matmul") and not self.has("exp", "argpartition"):
            return "rows that are nearly the same in the embedding are left out"
        return ""

    def _ranked(self) -> bool:
        """Whether a figure of the rows, and not chance, picks from what is left."""
        return not self.has("draw") or bool(self.signals & {"loss", "similarity"})

    def _spread(self) -> bool:
        if "embedding" not in self.signals:
            return False
        return bool(self.ops & _SPREAD) or bool(_CLUSTERED.search(self.calls))
