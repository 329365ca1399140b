from __future__ import annotations

# Before anything of Ansible's: it replaces sys.intern, and after that torch's optimisers cannot be imported any more.
import torch._dynamo  # noqa: F401
from hypothesis import HealthCheck, settings

# A busy machine makes no test fail: examples may take as long as they take.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
