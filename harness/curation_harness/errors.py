"""The errors of the harness layer (exit codes 40-69).

CurationError (curation_sandbox.errors)
 └─ HarnessError              40
     ├─ RunExists             41  a run of that id is there already
     ├─ RunUnknown            42  no such run
     ├─ RunBusy               43  another process works on the run
     ├─ RecordInvalid         44  the run folder is damaged, foreign, or of a newer version
     ├─ RunFolderUnusable     45  the folder for runs cannot be written
     ├─ NothingToScore        46  no attempt came to a score
     ├─ OptionInvalid         47  options that make no sense together
     ├─ ReferencesInvalid     48  a reference table does not belong to this task
     ├─ RerunDiffers          49  `harness rerun`: a score or a submission differs
     ├─ KeyMissing            50  no key for the model's provider, or one that cannot be used
     ├─ ModelUnknown          51  the provider has no such model
     ├─ ReproductionFailed    52  the host could not run a policy again; no fault of the policy
     └─ ArchiveInvalid        53  a file is no exported record, or holds what no record does

"""

from typing import Final

from curation_sandbox.errors import CurationError

INTERRUPTED: Final = 130
"""Exit code of a command that was interrupted, as shells expect after Ctrl-C."""


class HarnessError(CurationError):
    exit_code = 40


class RunExists(HarnessError):
    exit_code = 41


class RunUnknown(HarnessError):
    exit_code = 42


class RunBusy(HarnessError):
    exit_code = 43


class RecordInvalid(HarnessError):
    exit_code = 44


class RunFolderUnusable(HarnessError):
    exit_code = 45


class NothingToScore(HarnessError):
    exit_code = 46


class OptionInvalid(HarnessError):
    exit_code = 47


class ReferencesInvalid(HarnessError):
    exit_code = 48


class RerunDiffers(HarnessError):
    exit_code = 49


class KeyMissing(HarnessError):
    exit_code = 50


class ModelUnknown(HarnessError):
    exit_code = 51


class ReproductionFailed(HarnessError):
    exit_code = 52


class ArchiveInvalid(HarnessError):
    exit_code = 53
