"""An external judge behind the OpenAI chat protocol: pinned, at temperature 0, cached by content.

Any server with `POST <base_url>/chat/completions` will do (OpenAI, vLLM, a gateway). A reply that was once had is
never asked for again, so that a resumed attempt gets the same grades and an interrupted one loses nothing.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from pydantic import Field, SecretStr

from curation_plugins.errors import ConfigInvalid, WorkFailed
from curation_plugins.tasks.llava.benchmarks.score import Frozen

_PATIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which asking again can help."""
_LONGEST_WAIT = 30.0
_REPLY_CHARACTERS = 100_000


class JudgeUnavailable(WorkFailed):
    """The judge does not answer, or not as the pinned model: our failure; no item may be scored as wrong for it."""


class JudgeConfig(Frozen):
    """Which judge grades, and how often it is asked. All above `base_url` is part of what a score means."""

    model: str = Field(min_length=1)
    """Name sent to the server; pin a dated or hashed one."""
    answers_as: str | None = None
    """The `model` that replies must name; `model` itself if not given. Another one is an error."""
    calls: int = Field(default=3, ge=1, le=16)
    """Each answer is graded so many times and the grades averaged: servers are not deterministic at temperature 0."""
    seed: int = 0
    """Call k is sent the seed `seed + k`."""
    max_tokens: int = Field(default=512, gt=0)
    """Of a reply, its reasoning included."""
    extra: Mapping[str, Any] = {}
    """Further fields of the request, such as `chat_template_kwargs`."""
    base_url: str = Field(pattern=r"^https?://[^\s/]+")
    """Up to and including `/v1`."""
    key_variable: str | None = None
    """Environment variable that holds the API key; none for a server without keys."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Requests under way at once."""
    timeout: float = Field(default=120, gt=0)
    """Seconds for one request."""
    patience: float = Field(default=600, ge=0)
    """Seconds for which a judge that does not answer is asked again before the work is given up as unfinished."""

    def identity(self) -> dict[str, Any]:
        """What decides over the grades: for the record and the cache."""
        return self.model_dump(
            exclude={"base_url", "key_variable", "concurrency", "timeout", "patience"}, mode="json"
        )

    def key(self) -> SecretStr | None:
        """The API key, from the environment; none for a server without keys.

        Raises:
            ConfigInvalid: the variable is not set.
        """
        if self.key_variable is None:
            return None
        key = os.environ.get(self.key_variable, "")
        if not key:
            raise ConfigInvalid(
                f"The judge's key is not there: the environment variable {self.key_variable} is not set"
            )
        return SecretStr(key)


class Question(NamedTuple):
    """What a judge is asked."""

    system: str
    user: str


class Judge:
    """Asks the judge of `config`; thread-safe.

    Args:
        cache: folder of replies, one file each, shared by runs and benchmarks.
        progress: told what is done and the share of the questions at hand that are answered.
        sleep: waits between attempts, seconds.

    Raises:
        ConfigInvalid: the key's environment variable is not set.
    """

    def __init__(
        self,
        config: JudgeConfig,
        cache: Path,
        *,
        progress: Callable[[str, float], None] = lambda what, done: None,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.config = config
        self._cache = cache
        self._progress = progress
        self._sleep = sleep
        self._key = config.key()
        self._client = httpx.Client(
            timeout=config.timeout,
            follow_redirects=False,
            trust_env=not _is_local(config.base_url),
            transport=transport,
        )
        self._lock = threading.Lock()
        self._failure: JudgeUnavailable | None = None
        self.asked = 0
        """Requests sent, for the record."""

    def ask(self, questions: Sequence[Question]) -> list[list[str]]:
        """The replies to each question, one a call, in order.

        Raises:
            JudgeUnavailable: see there. Replies had until then are in the cache.
        """
        self._failure = None
        jobs = [(question, call) for question in questions for call in range(self.config.calls)]
        with ThreadPoolExecutor(max_workers=self.config.concurrency, thread_name_prefix="judge") as pool:
            replies = []
            for reply in pool.map(lambda job: self._reply(*job), jobs):
                replies.append(reply)
                self._progress(f"asking the judge {self.config.model}", len(replies) / len(jobs))
        calls = self.config.calls
        return [replies[start : start + calls] for start in range(0, len(replies), calls)]

    def close(self) -> None:
        self._client.close()

    def _reply(self, question: Question, call: int) -> str:
        body = self._body(question, call)
        known = self._cached(body)
        if known is not None:
            return known
        reply = self._request(body)
        self._remember(body, reply)
        return reply

    def _body(self, question: Question, call: int) -> dict[str, Any]:
        return {
            **self.config.extra,
            "model": self.config.model,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.user},
            ],
            "temperature": 0,
            "seed": self.config.seed + call,
            "max_tokens": self.config.max_tokens,
        }

    def _request(self, body: Mapping[str, Any]) -> str:
        url = f"{self.config.base_url.rstrip('/')}/chat/completions"
        headers = {"authorization": f"Bearer {self._key.get_secret_value()}"} if self._key else {}
        deadline = time.monotonic() + self.config.patience
        wait = 0.5
        while True:
            if self._failure:
                raise self._failure
            try:
                with self._lock:
                    self.asked += 1
                response = self._client.post(url, json=body, headers=headers)
                trouble = f"status {response.status_code}"
                if response.status_code == 200:
                    return self._text(response)
                lasting = response.status_code not in _PATIENT
            except httpx.HTTPError as error:
                trouble, lasting = type(error).__name__, False
            if lasting or time.monotonic() + wait > deadline:
                raise self._fail(
                    f"The judge {self.config.model} at {_shown(url)} does not answer: {trouble}",
                    "Nothing was scored without it. Start the judge or correct its settings, then resume the run.",
                )
            self._sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _text(self, response: httpx.Response) -> str:
        """The reply's text; empty where the judge says nothing, which is then not readable as a grade."""
        try:
            reply = response.json()
            model, text = reply["model"], reply["choices"][0]["message"].get("content") or ""
        except (ValueError, LookupError, TypeError, AttributeError):
            raise self._fail("The judge's reply is not of the OpenAI chat protocol") from None
        expected = self.config.answers_as or self.config.model
        if model != expected:
            raise self._fail(
                f"The judge answers as {str(model)[:200]!r} where {expected!r} is pinned",
                hint="Serve the pinned model, or pin the one that is served (answers_as).",
            )
        return str(text)[:_REPLY_CHARACTERS]

    def _fail(self, message: str, hint: str | None = None) -> JudgeUnavailable:
        """The one failure that every request under way ends with."""
        with self._lock:
            self._failure = self._failure or JudgeUnavailable(message, hint=hint)
            return self._failure

    def _file(self, body: Mapping[str, Any]) -> Path:
        named = {**body, "answers_as": self.config.answers_as or self.config.model}
        digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
        return self._cache / digest[:2] / f"{digest}.json"

    def _cached(self, body: Mapping[str, Any]) -> str | None:
        try:
            known = json.loads(self._file(body).read_text(encoding="utf-8"))
            return known["reply"] if known["request"] == json.loads(json.dumps(body)) else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _remember(self, body: Mapping[str, Any], reply: str) -> None:
        target = self._file(body)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
        partial.write_text(json.dumps({"request": body, "reply": reply}), encoding="utf-8")
        partial.replace(target)


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(url: str) -> str:
    """Without user name and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
