"""What a run needs beside its plan: the image, and the way to its model. Tried before anything is made or started."""

from __future__ import annotations

from curation_harness import providers
from curation_harness.agent.seat import ModelLine
from curation_harness.record.models import ImageUsed, ModelUsed
from curation_harness.watcher import Watcher
from curation_plugins.api import Agent
from curation_sandbox import engine as engines
from curation_sandbox import images
from curation_sandbox.gateway.http_source import HttpSource
from curation_sandbox.gateway.probe import probe


def find_image(name: str) -> ImageUsed:
    """The image of that name.

    Raises:
        EngineUnavailable, EngineTooOld, ImageMissing.
    """
    with engines.connect() as engine:
        found = images.resolve(engine, name)
    return ImageUsed(name=name, digest=found.digest, labels=dict(found.labels))


def model_line(used: ModelUsed | None, agent: Agent, watcher: Watcher) -> ModelLine | None:
    """The way to the run's model, tried once before anything is started; None: the run has no model.

    Raises:
        KeyMissing, KeyRefused, ProviderUnreachable.
        ModelUnknown: the provider lists its models, and this is none of them.
    """
    if used is None:
        return None
    upstream = providers.upstream(used)
    watcher.step(f"asking {used.provider} ({used.base_url}) for its models")
    providers.require_models(used, probe(upstream, used.wire))
    return ModelLine(used=used, pins=providers.pins(used, agent), source=HttpSource(upstream))
