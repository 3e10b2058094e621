"""Python-based Triton backend ``onnxruntime``: serves ``<version>/model.onnx`` with the onnxruntime from pip.

It accepts the same ``config.pbtxt`` as Triton's C++ backend of that name, including the parameters
``intra_op_thread_count`` and ``inter_op_thread_count``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import defaultdict

# Triton's stub runs Python in isolated mode, which ignores PYTHONPATH. Add the packages of the environment here.
sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

CPU_PROVIDER = "CPUExecutionProvider"
GPU_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", CPU_PROVIDER)
"""Execution providers of GPU instances, in order of preference."""
TYPES = {
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(double)": "TYPE_FP64",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(bool)": "TYPE_BOOL",
}
SERVER_POLL_S = 1.0
DEFAULT_MAX_BATCH = 4
"""Batch size of a model with a dynamic first dimension and no ``max_batch_size``; the default of the C++ backend."""


class TritonPythonModel:
    """One instance of a model."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        """Add missing inputs and outputs from the graph, and dynamic batching if its first dimension is dynamic."""
        config = auto_complete_model_config.as_dict()
        folder = _model_folder()
        versions = sorted(int(name) for name in os.listdir(folder) if name.isdigit())
        session = onnxruntime.InferenceSession(_model_file(folder, versions[-1], config), providers=[CPU_PROVIDER])
        tensors = [*session.get_inputs(), *session.get_outputs()]
        is_batched = all(tensor.shape and not isinstance(tensor.shape[0], int) for tensor in tensors)
        if is_batched:
            if not config.get("max_batch_size"):
                auto_complete_model_config.set_max_batch_size(DEFAULT_MAX_BATCH)
            if not config.get("dynamic_batching"):
                auto_complete_model_config.set_dynamic_batching()
        # Declared tensors stay as they are: a config may be more specific than the graph, for example where tracing
        # left a number of channels dynamic.
        declared = {tensor["name"] for tensor in [*config.get("input", []), *config.get("output", [])]}
        for tensor in session.get_inputs():
            if tensor.name not in declared:
                auto_complete_model_config.add_input(_tensor_config(tensor, is_batched))
        for tensor in session.get_outputs():
            if tensor.name not in declared:
                auto_complete_model_config.add_output(_tensor_config(tensor, is_batched))
        return auto_complete_model_config

    def initialize(self, args):
        """Load the model."""
        threading.Thread(target=_end_with_server, args=(os.getppid(),), daemon=True).start()
        config = json.loads(args["model_config"])
        self.is_batched = config.get("max_batch_size", 0) > 0
        parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", 0))
        options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
        preferred = GPU_PROVIDERS if args["model_instance_kind"] == "GPU" else (CPU_PROVIDER,)
        available = onnxruntime.get_available_providers()
        device = {"device_id": int(args["model_instance_device_id"])}
        providers = [(name, {} if name == CPU_PROVIDER else device) for name in preferred if name in available]
        path = _model_file(args["model_repository"], args["model_version"], config)
        self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        self.outputs = [tensor.name for tensor in self.session.get_outputs()]

    def execute(self, requests):
        """Run requests of the same shapes as one batch. A request that fails does not affect the others."""
        responses = [None] * len(requests)
        groups = defaultdict(list)
        for index, request in enumerate(requests):
            try:
                arrays = [_input_array(request, name) for name in self.inputs]
                requested = tuple(name for name in self.outputs if name in request.requested_output_names())
                shapes = tuple(array.shape[1:] for array in arrays)
                key = (shapes, requested) if self.is_batched else index
                groups[key].append((index, arrays, requested))
            except Exception as error:
                responses[index] = _error_response(error)
        for group in groups.values():
            self._run(group, responses)
        return responses

    def _run(self, group, responses):
        """Run requests as one batch and store their responses.

        ``group`` contains the index, the input arrays and the requested output names of each request.
        """
        requested = group[0][2]
        try:
            results = self.session.run(list(requested), self._feeds(group))
        except Exception as error:
            if len(group) == 1:
                responses[group[0][0]] = _error_response(error)
                return
            for member in group:  # one of them failed; run them separately
                self._run([member], responses)
            return
        start = 0
        for index, arrays, _ in group:
            count = arrays[0].shape[0] if self.is_batched else None
            rows = slice(start, start + count) if self.is_batched else slice(None)
            tensors = [
                pb_utils.Tensor(name, np.ascontiguousarray(result[rows]))
                for name, result in zip(requested, results, strict=True)
            ]
            responses[index] = pb_utils.InferenceResponse(output_tensors=tensors)
            start += count or 0

    def _feeds(self, group):
        """Return the inputs of all requests by name, concatenated along the batch."""
        if len(group) == 1:
            return dict(zip(self.inputs, group[0][1], strict=True))
        return {
            name: np.concatenate([arrays[position] for _, arrays, _ in group])
            for position, name in enumerate(self.inputs)
        }

    def finalize(self):
        """Release the model."""
        self.session = None


def _end_with_server(server):
    """End this process when Triton, its parent, was killed. It would otherwise finish its inference, however long."""
    while os.getppid() == server:
        time.sleep(SERVER_POLL_S)
    os._exit(1)


def _model_file(repository, version, config):
    return os.path.join(repository, str(version), config.get("default_model_filename") or "model.onnx")


def _model_folder():
    """Return the folder of the model during auto-completion.

    Triton does not pass it to ``auto_complete_config``, but the first argument of the stub process is a file in one of
    the version folders.
    """
    with open("/proc/self/cmdline", "rb") as cmdline:
        return os.path.dirname(os.path.dirname(cmdline.read().decode().split("\0")[1]))


def _input_array(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        raise ValueError(f"input {name!r} is missing from the request")
    return tensor.as_numpy()


def _tensor_config(tensor, is_batched):
    shape = tensor.shape[1:] if is_batched else tensor.shape
    dims = [size if isinstance(size, int) else -1 for size in shape]
    return {"name": tensor.name, "data_type": TYPES[tensor.type], "dims": dims}


def _error_response(error):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
