"""`harness rerun RUN` does a part of a run once more and compares it with the record, stage by stage. The record of
the run itself is not changed; what was found is written to `reruns/NNN-….json` beside it.

| option | what is done again | what is taken from the record | key, network |
|---|---|---|---|
| `--replay` | the agent, in a fresh container ([replay.md](replay.md)) | its model's replies, the scores | none |
| `--submissions` | training and scoring, of every attempt and of the headline | submissions, seeds | none |
| `--live` | the whole run, as a new run with a record of its own | the spec | the provider's |

`--live` launches the recorded spec under a new id (`RUN-live-1`, then `-2`): the same task with its numbers, agent,
options, model, scaffold, seeds, image and runtime. It spends what a run spends. When it is interrupted there is no
verdict; `harness resume` ends the new run, and `harness rerun RUN --live --against NEW` compares.

## Verdicts

A stage is `equal` where nothing differs, byte for byte. It is `within-epsilon` where its measure is at most ε
(`--epsilon`, 0.005 unless given otherwise), else it `differs`. A measure belongs to each kind of stage:

| stage | equal | measure |
|---|---|---|
| `conversation` | every request and reply, but for what [replay.md](replay.md) lets differ | share of others; no ε |
| `submission` | rows and weights, the policy's files | share of rows that only one of the two has; no ε |
| `refusals` | what was refused, in order, with the same reasons | number of refusals that are other ones; no ε |
| `training` | the trained model's bytes | the larger change of its attempt's two means |
| `scores` | every item's result, and what the model said to it | change of the mean |
| `headline` | its attempt, its seeds' models and item results | change of the sealed mean over the seeds |

The verdict of the rerun is that of its worst stage; in a replay the conversation counts only where nothing was handed
in. Exit code 0: equal or within ε. 49: something differs. On a CPU, tiny tasks are equal. On accelerators the bytes
of models differ as a rule, and scores are within ε or not.

## Why

What is different from when the run was made is listed with what was then and what is now: the image (by digest), the
packages (by version, and by a digest of what was installed), hardware, seeds, the task's files and recipe, what
scores, agent, scaffold, runtime, and the harness's own code. A stage that is not equal names those of them that it
rests on, and the stage before it that was not equal either. Where it can name none, it says so: then the stage does
not repeat itself, as a model at a provider does not.
"""
