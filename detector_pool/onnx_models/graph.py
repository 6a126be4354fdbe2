"""A graph in memory, ready to run: on which provider, with which settings, and what goes in and out.

onnxruntime lists providers that do not run and falls back without a word, so what counts is what the session says it
uses. On the CPU a run has one thread: equal inputs then give equal outputs to the bit, and cameras share the cores by
running side by side. On CUDA inputs and outputs are bound to the device's memory, TF32 is off and algorithms are chosen
by heuristics, not by timing, so that a restart chooses alike. CUDA is taken only where there is an NVIDIA device; the
binding is tested on the CPU's memory, and what it gives on a GPU has not been measured.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mesh.errors import InvalidArgument, Unavailable
from mesh.logs import get_logger

if TYPE_CHECKING:
    import onnxruntime

log = get_logger("detector_pool.onnx_models.graph")

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
MAX_GRAPH_BYTES = 512 << 20
_CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0", "do_copy_in_default_stream": "1"}
_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(double)": np.float64,
}  # fmt: skip

Arrays = list[NDArray[Any]]
Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class TensorKind:
    """An input or output as the graph declares it."""

    name: str
    shape: tuple[int | None, ...]
    """None where it is open."""
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        sides = "x".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} {sides} {self.dtype}"


class Graph:
    """An ONNX graph with a session of its own. Any thread may run it."""

    def __init__(
        self, model: str, file: str, data: bytes, *, provider: str = "auto", binds: bool | None = None
    ) -> None:
        """`provider`: "auto" (CUDA where there is a device), "cpu" or "cuda". `binds`: None binds on CUDA only.

        Raises InvalidArgument: not a graph that can be loaded. Unavailable: CUDA was asked for and does not run.
        """
        self.model = model
        self.what = f"{file} of model {model}"
        if len(data) > MAX_GRAPH_BYTES:
            raise InvalidArgument(self.what, f"is larger than {MAX_GRAPH_BYTES >> 20} MiB")
        self._session = _session(self.what, data, provider)
        self.provider: str = self._session.get_providers()[0]
        """The one that really runs."""
        if provider == "cuda" and self.provider != CUDA:
            remedy = "Is there a device, and its driver? `nvidia-smi` tells. Or choose the provider auto."
            raise Unavailable(f"CUDA for {self.what}", "was asked for and does not run", remedy)
        try:
            self.inputs = [_kind(self.what, one) for one in self._session.get_inputs()]
            self.outputs = [_kind(self.what, one) for one in self._session.get_outputs()]
        except UnicodeDecodeError:
            raise InvalidArgument(self.what, "has names that are no text in UTF-8", "Export it again.") from None
        if not self.inputs or not self.outputs:
            raise InvalidArgument(self.what, "takes nothing, or puts out nothing")
        self._binds = self.provider == CUDA if binds is None else binds
        self._device = "cuda" if self.provider == CUDA else "cpu"
        self._bound: dict[tuple[tuple[str, tuple[int, ...]], ...], _Bound] = {}
        self._binding = threading.Lock()

    @property
    def runs_on(self) -> str:
        """The same in short: "CPU" or "CUDA"."""
        return self.provider.removesuffix("ExecutionProvider")

    @property
    def settings(self) -> dict[str, str]:
        """How it runs, for the record."""
        import onnxruntime

        said = {"provider": self.provider, "onnxruntime": onnxruntime.__version__, "threads": "1"}
        return said | (_CUDA_OPTIONS if self.provider == CUDA else {})

    def run(self, feeds: Feeds) -> Arrays:
        """Outputs in their order. Raises Unavailable: the graph fails on this."""
        try:
            if not self._binds:
                return list(self._session.run(None, dict(feeds)))
            with self._binding:
                return self._run_bound(feeds)
        except Exception as error:
            raise Unavailable(self.what, f"fails: {first_line(error)}", "Check the model: add it once more.") from None

    def try_out(self, feeds: Feeds, limit_s: float) -> Arrays:
        """As `run`, of a graph that nobody knows yet. Raises InvalidArgument: it fails, or takes longer than that."""
        import onnxruntime

        options = onnxruntime.RunOptions()
        is_late = threading.Event()

        def stop() -> None:
            is_late.set()
            options.terminate = True

        timer = threading.Timer(limit_s, stop)
        timer.daemon = True
        timer.start()
        try:
            return list(self._session.run(None, dict(feeds), options))
        except Exception as error:
            reason = f"takes longer than {limit_s:g} s" if is_late.is_set() else f"fails: {first_line(error)}"
            raise InvalidArgument(self.what, f"{reason}, on a trial with noise", "Does it run elsewhere?") from None
        finally:
            timer.cancel()

    def _run_bound(self, feeds: Feeds) -> Arrays:
        key = tuple((name, array.shape) for name, array in feeds.items())
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bound[key] = _Bound(self._session, self._device, feeds, [one.name for one in self.outputs])
        return bound.run(feeds)


class _Bound:
    """Memory on the device for inputs of one shape, kept from run to run."""

    def __init__(self, session: Any, device: str, feeds: Feeds, outputs: Sequence[str]) -> None:
        import onnxruntime

        self._session = session
        self._binding = session.io_binding()
        self._inputs = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), device, 0)
            for name, array in feeds.items()
        }
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name in outputs:
            self._binding.bind_output(name, device, 0)

    def run(self, feeds: Feeds) -> Arrays:
        for name, array in feeds.items():
            self._inputs[name].update_inplace(np.ascontiguousarray(array))
        self._session.run_with_iobinding(self._binding)
        return list(self._binding.copy_outputs_to_cpu())


def providers_here(wanted: str) -> tuple[str, ...]:
    """What graphs can really run on in this process, tried with one: ("CPU",) or ("CPU", "CUDA").

    `wanted`: "auto", "cpu" or "cuda". Raises Unavailable: CUDA is wanted and does not run.
    """
    if wanted == "cpu" or (wanted == "auto" and not has_cuda_device()):
        return ("CPU",)
    from onnx import TensorProto, helper

    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    trial = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "trial", sides[:1], sides[1:])
    data = helper.make_model(trial, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    graph = Graph("trial", "graph", data, provider=wanted)
    graph.run({"x": np.ones(1, np.float32)})
    return ("CPU", "CUDA") if graph.provider == CUDA else ("CPU",)


def has_cuda_device() -> bool:
    """Whether there is an NVIDIA device; whether CUDA runs on it, only a session can tell."""
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def _session(what: str, data: bytes, provider: str) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    providers: list[Any] = [CPU]
    if provider == "cuda" or (provider == "auto" and has_cuda_device()):
        _load_cuda(onnxruntime)
        providers.insert(0, (CUDA, _CUDA_OPTIONS))
    try:
        # Its own falling back prints to the terminal, and tries the same once more.
        return onnxruntime.InferenceSession(data, options, providers=providers, enable_fallback=0)
    except Exception as error:
        remedy = "It must be one ONNX file with its weights inside, of standard operators up to opset 23."
        raise InvalidArgument(what, f"cannot be loaded: {first_line(error)}", remedy) from None


def _load_cuda(onnxruntime: Any) -> None:
    try:
        onnxruntime.preload_dlls()
    except Exception as error:
        log.warning("CUDA libraries are not loaded", reason=first_line(error))


def _kind(what: str, declared: Any) -> TensorKind:
    if declared.type not in _TYPES:
        raise InvalidArgument(what, f"has {declared.name} of type {declared.type}", "Export it with plain tensors.")
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in declared.shape)
    return TensorKind(declared.name, shape, np.dtype(_TYPES[declared.type]))


def first_line(error: Exception) -> str:
    """What the runtime says, without its location in its own sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
