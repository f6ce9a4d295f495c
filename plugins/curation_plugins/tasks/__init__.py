"""The task families, and what several of them share.

PyPI's torchvision cannot be imported beside a CPU build of torch; this package makes it importable for everything
below it, and for what that imports (transformers and open_clip look for torchvision by themselves).
"""

from curation_plugins.tasks import torchvision_cpu

torchvision_cpu.install()
