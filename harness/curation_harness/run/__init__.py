"""One process's work on one run, from the lock to the seal: it holds agent, desk and attempts together."""
