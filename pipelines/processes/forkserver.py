"""What a fork server imports first: it ends with its parent, and collects no garbage while it imports.

The processes that are forked from it call `common.garbage.collect`.
"""

import gc

from pipelines.processes.parents import end_with_parent

end_with_parent()
gc.disable()
