# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Trains the learner's acquisition policy with PPO, and compares it with fixed rules.

An episode is a simulated search on a surface of the development families. What the policy sees and does is in
plugins/plugin_utils/_learner/acquisition_policy.py, with the weights that studies use beside it.

    ./dev bench-policy train --steps 200000                # from the beginning
    ./dev bench-policy train --steps 200000 --further      # from the weights that are there
    ./dev bench-policy compare --cell 16/8 --cell 32/4 --families memory,ratio,sines    # those that are held out
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "playbooks/collections"))
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # before NumPy and torch are imported
import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from ansible_collections.autotune.kernel.plugins.plugin_utils._learner.acquisition_policy import (  # noqa: E402
    OF_CANDIDATE,
    OF_STATE,
    OFFERED,
    WEIGHTS,
)
from ansible_collections.autotune.kernel.tests.performance.learner import tables  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance.learner.searches import Cell  # noqa: E402
from ansible_collections.autotune.kernel.tests.performance.learner.simulated_search import RULES, SimulatedSearch  # noqa: E402
from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402
from stable_baselines3.common.logger import Logger  # noqa: E402
from stable_baselines3.common.policies import ActorCriticPolicy  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv  # noqa: E402

FAMILIES = ("curves", "additive", "collapse", "queueing", "modes")  # those on which the learner is developed
TRAINED = ROOT / "build/acquisition_policy.npz"
# Evaluations, parameters, and how often each is drawn; short episodes teach most.
_CELLS = ((16, 8, 0.25), (16, 6, 0.1), (16, 4, 0.1), (24, 6, 0.15), (32, 4, 0.15), (32, 8, 0.15), (48, 8, 0.1))
_TRAINED_ON, _SURFACES, _COMPARED_ON = 20_000, 1500, 5000  # numbers of surfaces, which do not overlap
_NOISES = 0.01, 0.1
# What the recommended candidate closes of the gap counts, and half of what the best one tried does.
_REWARD, _SHAPING = 10.0, 5.0
_ENVIRONMENTS, _ROLLOUT = 8, 256


class SearchEnv(gymnasium.Env[Any, Any]):
    """An episode is a search on a random surface; the action is the offered candidate that is tried."""

    observation_space = gymnasium.spaces.Box(-8, 8, (OFFERED * OF_CANDIDATE + OF_STATE,), np.float32)
    action_space = gymnasium.spaces.Discrete(OFFERED)

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng([99, seed])

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        while True:
            budget, parameters, dummy = _CELLS[
                self._random.choice(len(_CELLS), p=[chance for *dummy, chance in _CELLS])
            ]
            family = FAMILIES[self._random.integers(len(FAMILIES))]
            number = _TRAINED_ON + int(self._random.integers(_SURFACES))
            noise = float(np.exp(self._random.uniform(*np.log(_NOISES))))
            self._search = SimulatedSearch(
                family, number, parameters, budget, noise, int(self._random.integers(1 << 30))
            )
            if self._search.left:
                return self._search.features.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        before = self._search.share
        better = self._search.take(int(action))
        reward = _REWARD * (self._search.share - before) + _SHAPING * better
        ended = not self._search.left
        information = {"share": self._search.share} if ended else {}
        return self._search.features.astype(np.float32), reward, ended, False, information


class SharedScorer(torch.nn.Module):
    """Logits of the offered candidates from a network that they share; it begins as their expected improvement."""

    latent_dim_pi, latent_dim_vf = OFFERED, 32

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(OF_CANDIDATE + OF_STATE, 32), torch.nn.Tanh(), torch.nn.Linear(32, 32), torch.nn.Tanh()
        )
        self.score = torch.nn.Linear(32, 1)
        self.steepness = torch.nn.Parameter(torch.tensor(3.0))
        self.value = torch.nn.Sequential(
            torch.nn.Linear(OF_STATE + 2 * OF_CANDIDATE, 64), torch.nn.Tanh(), torch.nn.Linear(64, 32), torch.nn.Tanh()
        )

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        candidates, state = self._split(features)
        expected = torch.maximum(candidates[:, :, 2], candidates[:, :, 3] - 0.3)  # and its jittered twin
        scored = self.score(self.body(torch.cat([candidates, state[:, None].expand(-1, OFFERED, -1)], 2)))
        return self.steepness * expected + scored[:, :, 0]

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        candidates, state = self._split(features)
        found: torch.Tensor = self.value(torch.cat([state, candidates.mean(1), candidates.max(1).values], 1))
        return found

    @staticmethod
    def _split(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = OFFERED * OF_CANDIDATE
        return features[:, :size].reshape(-1, OFFERED, OF_CANDIDATE), features[:, size:]


class ScoringPolicy(ActorCriticPolicy):
    """SB3's policy around `SharedScorer`, whose logits are the action's."""

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = SharedScorer()  # type: ignore[assignment]

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = torch.nn.Identity()
        for parameter in self.mlp_extractor.score.parameters():  # type: ignore[union-attr]
            parameter.data.zero_()
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)


def save(scorer: torch.nn.Module, path: Path) -> None:
    np.savez(path, **{name: weights.numpy() for name, weights in scorer.state_dict().items()})  # type: ignore[arg-type]


def load(scorer: torch.nn.Module, path: Path) -> None:
    """Raises FileNotFoundError."""
    with np.load(path) as weights:
        scorer.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})


class Report(BaseCallback):
    """A line every two rollouts, and the weights kept."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._shares: list[float] = []

    def _on_step(self) -> bool:
        self._shares += [information["share"] for information in self.locals["infos"] if "share" in information]
        return True

    def _on_rollout_end(self) -> None:
        if self.num_timesteps % (2 * _ROLLOUT * _ENVIRONMENTS) == 0:
            latest = self._shares[-2000:]
            print(
                f"{time.strftime('%T')} {self.num_timesteps} decisions, {len(self._shares)} studies, "
                f"mean share of the latest {len(latest)}: {np.mean(latest):.4f}",
                flush=True,
            )
            save(self.model.policy.mlp_extractor, self._path)


def train(
    steps: int,
    seed: int,
    path: Path,
    start: Path | None,
    environments: int = _ENVIRONMENTS,
    rollout: int = _ROLLOUT,
) -> None:
    """path: of the trained weights. start: those to begin with, on other studies if the seed is another one."""
    torch.set_num_threads(1)
    searches = DummyVecEnv([partial(SearchEnv, 1000 * seed + at) for at in range(environments)])
    model = PPO(
        ScoringPolicy, searches, n_steps=rollout, batch_size=256, n_epochs=8, learning_rate=1e-3, gamma=1.0,
        gae_lambda=0.9, ent_coef=0.003, target_kl=0.03, seed=seed, device="cpu",
    )  # fmt: skip
    # The default logger would create a folder in /tmp.
    model.set_logger(Logger(None, []))
    if start:
        load(model.policy.mlp_extractor, start)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.learn(steps, callback=Report(path))
    save(model.policy.mlp_extractor, path)


def compare(cells: list[str], families: tuple[str, ...], surfaces: int, path: Path) -> str:
    """The policy and fixed rules on surfaces that it was not trained on: the mean share, and the policy's lead."""
    scorer = SharedScorer()
    load(scorer, path)
    lines = []
    for cell in map(Cell.parse, cells):
        shares: dict[str, list[float]] = {name: [] for name in ("policy", *RULES)}
        for at in range(surfaces):
            for name, found in shares.items():
                family = families[at % len(families)]
                search = SimulatedSearch(
                    family, _COMPARED_ON + at, cell.parameters, cell.evaluations, cell.sigma, seed=at
                )
                while search.left:
                    rule = RULES.get(name)
                    search.take(rule(search) if rule else choice(scorer, search))
                found.append(search.share)
        for name, found in shares.items():
            lead = np.array(shares["policy"]) - found
            said = "" if name == "policy" else f"{lead.mean():+.3f} ± {lead.std() / len(lead) ** 0.5:.3f}"
            lines.append([str(cell), name, f"{np.mean(found):.3f}", f"{np.quantile(found, 0.1):.2f}", said])
    columns = ["evaluations/parameters", "decides", "mean share", "lower decile", "policy minus this (standard error)"]
    return tables.markdown(columns, lines)


def choice(scorer: SharedScorer, search: SimulatedSearch) -> int:
    """The offered candidate that the policy prefers."""
    with torch.no_grad():
        return int(scorer.forward_actor(torch.from_numpy(search.features[None].astype(np.float32))).argmax())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "compare"])
    parser.add_argument("--steps", type=int, default=200_000, help="decisions of the training (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--further", action="store_true", help="train the weights that are there further")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="file of the weights (those of the collection)")
    parser.add_argument("--output", type=Path, default=TRAINED, help="file for the trained weights (%(default)s)")
    parser.add_argument("--cell", action="append", help="as of bench_learner.py (16/8 and 32/4)")
    parser.add_argument("--families", default=",".join(FAMILIES), help="comma-separated (%(default)s)")
    parser.add_argument("--surfaces", type=int, default=100)
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.steps, arguments.seed, arguments.output, arguments.weights if arguments.further else None)
    else:
        families = tuple(arguments.families.split(","))
        print(compare(arguments.cell or ["16/8", "32/4"], families, arguments.surfaces, arguments.weights))


if __name__ == "__main__":
    main()
