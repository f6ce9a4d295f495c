"""What generates the answers to benchmark items: one interface, two engines (docs/vlm-benchmarks.md)."""
