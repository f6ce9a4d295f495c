"""Graph-cut coverage: represent the pool, repel what is already chosen. 120 picks by stochastic greedy."""
import argparse
import numpy as np

PENALTY = 0.4
SAMPLE = 60


def stochastic_greedy(kernel, size, rng):
    represent = kernel.sum(axis=1)
    repel = np.zeros(len(kernel))
    picks = []
    while len(picks) < size:
        free = np.setdiff1d(np.arange(len(kernel)), picks)  # sampled with replacement they came twice
        candidates = rng.choice(free, SAMPLE, replace=False)
        gain = represent[candidates] - 2 * PENALTY * len(kernel) / size * repel[candidates]
        best = int(candidates[np.argmax(np.round(gain, 8))])
        picks.append(best)
        repel += kernel[best]
    return picks


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool"), cli.add_argument("--history"), cli.add_argument("--out")
    cli.add_argument("--seed", type=int)
    opts = cli.parse_args()
    points = np.load(opts.pool + "/signals/embeddings.npy").astype(np.float64)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    kernel = np.exp(points @ points.T - 1)
    rows = stochastic_greedy(kernel, 120, np.random.default_rng(opts.seed))
    with open(opts.out, "w") as target:
        target.write("\n".join(map(str, sorted(rows))))
