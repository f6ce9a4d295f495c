"""A judge's replies, kept while it is asked and given again without it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.tasks.llava.benchmarks.judge import Question


class Grader(Protocol):
    """Whoever answers questions about answers: a judge, or what it said."""

    def ask(self, questions: Sequence[Question]) -> list[list[str]]:
        """The replies to each question, in order."""


class Replies:
    """What was replied, by question. One asked twice may be answered differently: first asked, first given."""

    def __init__(self, known: Iterable[tuple[Question, Sequence[str]]] = ()) -> None:
        self._by_question: defaultdict[Question, deque[list[str]]] = defaultdict(deque)
        for question, replies in known:
            self.add(question, replies)

    def add(self, question: Question, replies: Sequence[str]) -> None:
        self._by_question[question].append(list(replies))

    def ask(self, questions: Sequence[Question]) -> list[list[str]]:
        """Raises:
        WorkerReplyInvalid: a question is not among those that were answered.
        """
        return [self.take(question) for question in questions]

    def take(self, question: Question) -> list[str]:
        """Raises:
        WorkerReplyInvalid: see ``ask``.
        """
        if not self._by_question[question]:
            raise WorkerReplyInvalid("the judge's replies to an answer are not kept")
        return self._by_question[question].popleft()


class Overheard:
    """A judge whose replies are kept."""

    def __init__(self, judge: Grader) -> None:
        self._judge = judge
        self.replies = Replies()

    def ask(self, questions: Sequence[Question]) -> list[list[str]]:
        """Raises:
        JudgeUnavailable: it does not answer.
        """
        said = self._judge.ask(questions)
        for question, replies in zip(questions, said, strict=True):
            self.replies.add(question, replies)
        return said
