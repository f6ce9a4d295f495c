"""The model gateway: what a container may ask of a model provider, through ``llm.sock``, and nothing else."""
