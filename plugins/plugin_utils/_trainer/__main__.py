# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The trainer: a process of its own, started by a worker and gone when ansible-playbook is.

    python -m ansible_collections.autotune.kernel.plugins.plugin_utils._trainer FOLDER

FOLDER is private and holds `trainer.json` (see session.py); the trainer adds the socket, and leaves `end.json`,
which is the result or, where it could not even start, the reason.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .._wire import listen

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    server = listen(folder)
    # Only now, for it takes seconds: the workers prepare their hosts meanwhile.
    from .session import hold

    hold(folder, server)
