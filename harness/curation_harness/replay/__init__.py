"""`harness rerun RUN --replay` runs a recorded agent once more, in a fresh container of the same image, with the same
command, prompt and seeds. Its model is the record: every request gets the reply that was given then. Its submissions
are checked as then, and get the recorded scores. No key, no network, no training; a run of hours is replayed in
minutes.

What is promised: the same submissions, byte for byte, for a trace without other nondeterminism than the rules below
name. A policy that draws random numbers without a seed, or looks at the clock, submits something else, and the replay
says so. Exit code 0: what was submitted and what was refused is equal; 49: one differs, is missing, or is one too
many, or a run without either was not followed from its first request to its last. Stages, verdicts and reasons are
those of every rerun: [rerun.md](rerun.md).

## Which reply a request gets

A *lane* is one conversation: its wire format, system prompt and first message. Sub-agents run side by side, so the
order over the whole run is not enough. A request gets, of its lane, the recorded reply to the same body; else the one
to a body that is equal after the rules below; else the lane's next one. A conversation that the record does not have
takes the place of a recorded one that nobody has taken up. Where none is left, the request is refused with an error
that the agent's program does not retry. Recorded failures of the provider fail again, without the waiting;
what the gateway's rules refused then they refuse again by themselves. Signals (`curate signal`) are computed by the
task's workers as in any run, or come from their cache.

Limits of requests, tokens and money are not counted anew: requests under way at the same time overshoot them as it
happens. A request that was refused then for a spent budget is refused again, in the recorded words, as soon as its
conversation has no recorded reply left; all others are let through. Limits of time and of submissions hold as in any
run.

A record that is damaged is no replay that differs: before anything is started, every recorded reply, selection and
policy file is read and held against its digest. One that does not match ends the command with exit code 44 and the
file's name.

A run that was interrupted and resumed, or whose agent lost its container, is replayed without that: the agent was
told of it then, and is not now.

## What is compared

Each request is compared with the recorded one whose reply it gets. `harness rerun` counts them by kind and shows the
first place of every new difference.
"""
