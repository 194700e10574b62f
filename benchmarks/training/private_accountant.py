"""The accountant of private training beside that of dp-accounting, in an environment of its own.

    python benchmarks/training/private_accountant.py [--version 0.6.0]

dp-accounting does not install beside kerastl, so that it stands in an environment below the cache, made once. Both
count the same mechanisms at the same integer orders, alone and one after the other; then dp-accounting counts them at
its own orders, broken ones among them, to say what whole orders cost; and both choose the noise for an epsilon.

Asked: no epsilon is 1e-9 off, no noise 2e-6 of it, and whole orders cost less than 1 %.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tools import results
from kerastl.system import downloads
from kerastl.training.private import accountant

MNIST = 60_000
CASES = {
    "MNIST, batches of 256, noise 1.1, 15 epochs": ([(256 / MNIST, 1.1, 15 * MNIST // 256)], 1e-5),
    "MNIST, batches of 256, noise 1.3, 15 epochs": ([(256 / MNIST, 1.3, 15 * MNIST // 256)], 1e-5),
    "MNIST, batches of 1024, noise 1.2, 20 epochs": ([(1024 / MNIST, 1.2, 20 * MNIST // 1024)], 1e-5),
    "little noise, few steps": ([(1e-4, 0.6, 50)], 1e-5),
    "much noise, many steps": ([(0.2, 20.0, 100)], 1e-7),
    "every example in every batch": ([(1.0, 10.0, 5)], 1e-5),
    "one step": ([(0.001, 50.0, 1)], 1e-5),
    "a million steps": ([(1e-3, 1.0, 10**6)], 1e-6),
    "two trainings": ([(0.01, 1.0, 500), (0.02, 2.0, 300)], 1e-5),
}
BUDGETS = ((1.25, 1024 / 55_000, 648), (2.9, 1024 / 55_000, 1080), (8.0, 0.01, 3000))
THERE = """
import json, sys
import dp_accounting
from dp_accounting import dp_event, rdp

asked = json.load(sys.stdin)

def event(rate, noise, steps):
    one = dp_event.GaussianDpEvent(noise)
    return dp_event.SelfComposedDpEvent(dp_event.PoissonSampledDpEvent(rate, one) if rate < 1 else one, steps)

def epsilon(orders, parts, delta):
    counted = rdp.RdpAccountant(orders)
    for part in parts:
        counted.compose(event(*part))
    return float(counted.get_epsilon(delta))

def noise(epsilon, rate, steps):
    return float(dp_accounting.calibrate_dp_mechanism(
        lambda: rdp.RdpAccountant(asked["orders"]), lambda noise: event(rate, noise, steps), epsilon, 1e-5, tol=1e-9))

print(json.dumps({
    "whole": [epsilon(asked["orders"], *one) for one in asked["cases"]],
    "own": [epsilon(None, *one) for one in asked["cases"]],
    "noise": [noise(*one) for one in asked["budgets"]],
}))
"""


def environment(version: str) -> Path:
    """The Python of an environment with dp-accounting, made where it is not there yet."""
    folder = downloads.home() / "runtimes" / f"dp-accounting_{version}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"dp-accounting=={version}"], check=True)
        (folder / "ready").write_text(version)
    return python


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--version", default="0.6.0", help="of dp-accounting")
    options = parser.parse_args()
    asked = {"orders": accountant.ORDERS, "cases": list(CASES.values()), "budgets": BUDGETS}
    done = subprocess.run(
        [environment(options.version), "-c", THERE], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    theirs = json.loads(done.stdout)
    columns = ("kerastl", "dp-accounting", "at its own orders")
    table = results.Table("epsilon", {"mechanism": "{}", "delta": "{:g}", **dict.fromkeys(columns, "{:.12f}")})
    for (name, (parts, delta)), whole, own in zip(CASES.items(), theirs["whole"], theirs["own"], strict=True):
        spent = sum(accountant.renyi(rate, noise, steps=steps) for rate, noise, steps in parts)
        table.add(name, delta, accountant.epsilon_of(spent, delta=delta), whole, own)  # pyright: ignore[reportArgumentType]
    options.results.show(table)
    noises = results.Table(
        "noise for an epsilon at delta 1e-05",
        {"epsilon": "{:g}", "sampling rate": "{:.5f}", "steps": "{:,}"} | dict.fromkeys(columns[:2], "{:.9f}"),
    )
    for (epsilon, rate, steps), found in zip(BUDGETS, theirs["noise"], strict=True):
        own = accountant.noise_multiplier(epsilon, sampling_rate=rate, steps=steps, delta=1e-5)
        noises.add(epsilon, rate, steps, own, found)
    options.results.show(noises)
    off = max(abs(row["kerastl"] - row["dp-accounting"]) for row in table.rows)  # pyright: ignore[reportOperatorIssue]
    dearer = max(row["kerastl"] / row["at its own orders"] - 1 for row in table.rows)  # pyright: ignore[reportOperatorIssue]
    noise = max(abs(row["kerastl"] / row["dp-accounting"] - 1) for row in noises.rows)  # pyright: ignore[reportOperatorIssue]
    return options.results.verdict(
        {
            f"the largest difference of two epsilons is {off:.2e}, asked 1e-9": off <= 1e-9,
            f"the largest difference of two noises is {noise:.2e} of them, asked 2e-6": noise <= 2e-6,
            f"whole orders alone make an epsilon {100 * dearer:.3f} % larger at most, asked 1 %": dearer < 0.01,
        }
    )


if __name__ == "__main__":
    raise SystemExit(main())
