"""The auto-encoder of posture, fitted with torch. The one module that imports torch, and only when something is fitted.

torch has no types where it is not installed, hence `Any`. What is fitted leaves this module as arrays, in the order of
gates that ONNX has; `posture.graph` makes a graph of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.posture.body import MIRRORED, PLACES, Floats
from detector_pool.posture.graph import FARTHEST, WIDTH
from detector_pool.posture.pace import STEPS
from mesh.errors import FailedPrecondition

HIDDEN = 64
CODE = 12
BATCH = 128
ROUNDS = 200, 1500
"""At least, and at most."""
TURNS = 60
"""How often each window is shown, between the two: of little footage little can be learnt that is not by heart."""
RATE = 4e-3
HIDDEN_SHARE = 0.1
"""Of places that are hidden from the encoder and have to be told nevertheless: half hidden people are no news."""
LEAST_DEVIATION = 0.03
TICK_EVERY = 50

Batches = Callable[[NDArray[np.int64]], tuple[Floats, Floats]]
"""Windows (T, B, 2 P) and what of them is seen (T, B, P), by their numbers."""


def torch_there() -> Any:
    """The module torch. Raises FailedPrecondition: it is not installed."""
    try:
        import torch
    except ImportError:
        raise FailedPrecondition(
            "training posture", "needs torch, which is not installed here",
            "Install it with `pip install 'trueframe[train]'`; what was trained runs without it.",
        ) from None  # fmt: skip
    return torch


def fitted(
    batches: Batches, numbers: NDArray[np.int64], seed: int, tick: Callable[[], None], rounds: int
) -> dict[str, NDArray[np.float32]]:
    """Weights for `posture_graph`, fitted to the windows of these numbers.

    Equal windows and seed give equal weights on the same kind of processor and version of torch: one thread,
    deterministic algorithms. `tick` is called after each TICK_EVERY rounds. Raises FailedPrecondition: no torch.
    """
    torch = torch_there()
    mean, deviation = _usual(batches, numbers, seed)
    threads, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return {"mean": mean, "deviation": deviation} | _fitted(
                torch, batches, numbers, (mean, deviation), np.random.default_rng([seed, 1]), tick, rounds
            )
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(was_deterministic)


def rounds_for(windows: int) -> int:
    """How many rounds so many windows are worth."""
    return min(max(windows * TURNS // BATCH, ROUNDS[0]), ROUNDS[1])


def _usual(batches: Batches, numbers: NDArray[np.int64], seed: int) -> tuple[Floats, Floats]:
    """Mean and deviation of each coordinate where it is seen, alike for a body and its mirror image."""
    rng = np.random.default_rng([seed, 0])
    drawn = rng.choice(numbers, min(len(numbers), 4000), replace=False)
    window, seen = batches(drawn)
    window = np.concatenate([window, mirrored(window)], axis=1)
    both = np.repeat(np.concatenate([seen, seen[:, :, MIRRORED]], axis=1), 2, axis=2).astype(np.float64)
    count = np.maximum(both.sum(axis=(0, 1)), 1.0)
    mean = (window * both).sum(axis=(0, 1)) / count
    variance = ((window - mean) ** 2 * both).sum(axis=(0, 1)) / count
    return mean.astype(np.float32), np.maximum(np.sqrt(variance), LEAST_DEVIATION).astype(np.float32)


def mirrored(window: Floats) -> Floats:
    """The windows of the same bodies in a mirror."""
    by_place = window.reshape(*window.shape[:2], PLACES, 2)[:, :, MIRRORED]
    return np.ascontiguousarray(by_place * np.array([-1.0, 1.0], np.float32)).reshape(window.shape)


def _fitted(
    torch: Any,
    batches: Batches,
    numbers: NDArray[np.int64],
    usual: tuple[Floats, Floats],
    rng: np.random.Generator,
    tick: Callable[[], None],
    rounds: int,
) -> dict[str, NDArray[np.float32]]:
    nn = torch.nn
    net = nn.ModuleDict(
        {
            "encoder": nn.LSTM(WIDTH + PLACES, HIDDEN),
            "code": nn.Linear(HIDDEN, CODE),
            "decoder": nn.LSTM(CODE, HIDDEN),
            "told": nn.Linear(HIDDEN, WIDTH),
        }
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda done: 0.5 * (1 + math.cos(math.pi * min(done / rounds, 1.0))) + 0.01
    )
    for done in range(rounds):
        window, seen = batches(np.sort(rng.choice(numbers, BATCH)))
        turned = rng.random(BATCH) < 0.5
        window[:, turned], seen[:, turned] = mirrored(window[:, turned]), seen[:, turned][:, :, MIRRORED]
        shown = seen * (rng.random(seen.shape) >= HIDDEN_SHARE)
        wanted = torch.from_numpy(_scaled(window, seen, usual))
        told = _told(torch, net, torch.from_numpy(_scaled(window, shown, usual)), torch.from_numpy(shown))
        both = torch.from_numpy(np.repeat(seen, 2, axis=2))
        loss = (nn.functional.smooth_l1_loss(told, wanted, reduction="none") * both).sum() / both.sum()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (done + 1) % TICK_EVERY == 0:
            tick()
    return _weights(net)


def _scaled(window: Floats, seen: Floats, usual: tuple[Floats, Floats]) -> Floats:
    mean, deviation = usual
    scaled: Floats = (np.clip((window - mean) / deviation, -FARTHEST, FARTHEST) * np.repeat(seen, 2, axis=2)).astype(
        np.float32
    )
    return scaled


def _told(torch: Any, net: Any, window: Any, seen: Any) -> Any:
    """As `posture.graph` has it: the decoder tells the last step first."""
    read, _ = net["encoder"](torch.cat([window, seen.float()], dim=-1))
    code = net["code"](read[-1])
    out, _ = net["decoder"](code.unsqueeze(0).expand(STEPS, -1, -1))
    return net["told"](out.flip(0))


def _weights(net: Any) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = {}
    for name in ("encoder", "decoder"):
        part = {key: value.detach().numpy().copy() for key, value in net[name].named_parameters()}
        found[f"{name}.input"] = _onnx_gates(part["weight_ih_l0"])
        found[f"{name}.hidden"] = _onnx_gates(part["weight_hh_l0"])
        found[f"{name}.bias"] = _onnx_gates(part["bias_ih_l0"] + part["bias_hh_l0"])
    for name in ("code", "told"):
        for key, value in net[name].named_parameters():
            found[f"{name}.{key}"] = value.detach().numpy().copy()
    return found


def _onnx_gates(value: NDArray[np.float32]) -> NDArray[np.float32]:
    """torch has them in the order input, forget, cell, output."""
    entry, forget, cell, out = np.split(value, 4)
    return np.concatenate([entry, out, forget, cell])
