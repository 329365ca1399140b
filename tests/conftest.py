from __future__ import annotations

# First of all: ansible-core replaces sys.intern, and after that torch's optimisers cannot be imported any more.
import torch._dynamo  # noqa: F401
