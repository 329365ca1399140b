# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The trainer's process, which a worker starts and which ends with ansible-playbook.

    python -m ansible_collections.autotune.kernel.plugins.plugin_utils._trainer FOLDER

FOLDER is private to the run and holds `trainer.json` (see trainer.py). The trainer creates its socket there, and
leaves `end.json` with the result, or with the reason for which it could not start.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from .._logs import log_to_stderr
from .._wire import listen

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    log_to_stderr()
    server = listen(folder)
    # Imported only now because it takes seconds, in which the workers can prepare their hosts.
    from .trainer import run_trainer

    try:
        run_trainer(folder, server)
    except Exception:
        logging.getLogger(__name__).exception("the trainer failed")
        sys.exit(1)
