"""Triton backend ``onnxruntime`` in Python: serves ``<version>/model.onnx`` with the onnxruntime that pip installed.

It answers to the same ``config.pbtxt`` as Triton's own C++ backend of that name. Parameters that it reads, as there:
``intra_op_thread_count`` and ``inter_op_thread_count``.
"""

import json
import os
import sys
from collections import defaultdict

# The stub that runs this file is an isolated Python: it is told of the environment's packages, and does not look.
sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
TYPES = {
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(double)": "TYPE_FP64",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(bool)": "TYPE_BOOL",
}
DEFAULT_MAX_BATCH = 4
"""What Triton's own backend takes for a model with a free first dimension and no max_batch_size."""


def model_file(repository, version, config):
    return os.path.join(repository, str(version), config.get("default_model_filename") or "model.onnx")


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        """Report the graph's inputs and outputs, and dynamic batching where its first dimension is free."""
        config = auto_complete_model_config.as_dict()
        folder = _model_folder()
        versions = sorted(int(name) for name in os.listdir(folder) if name.isdigit())
        session = onnxruntime.InferenceSession(
            model_file(folder, versions[-1], config), providers=["CPUExecutionProvider"]
        )
        tensors = [*session.get_inputs(), *session.get_outputs()]
        batched = all(tensor.shape and not isinstance(tensor.shape[0], int) for tensor in tensors)
        if batched:
            if not config.get("max_batch_size"):
                auto_complete_model_config.set_max_batch_size(DEFAULT_MAX_BATCH)
            if not config.get("dynamic_batching"):
                auto_complete_model_config.set_dynamic_batching()
        # A config may know more than the graph (a channel count that tracing left open), so what it names stands.
        named = {tensor["name"] for tensor in [*config.get("input", []), *config.get("output", [])]}
        for tensor in session.get_inputs():
            if tensor.name not in named:
                auto_complete_model_config.add_input(_described(tensor, batched))
        for tensor in session.get_outputs():
            if tensor.name not in named:
                auto_complete_model_config.add_output(_described(tensor, batched))
        return auto_complete_model_config

    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.batched = config.get("max_batch_size", 0) > 0
        parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", 0))
        options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
        available = onnxruntime.get_available_providers()
        wanted = PROVIDERS if args["model_instance_kind"] == "GPU" else PROVIDERS[-1:]
        device = {"device_id": int(args["model_instance_device_id"])}
        providers = [(name, {} if name == "CPUExecutionProvider" else device) for name in wanted if name in available]
        path = model_file(args["model_repository"], args["model_version"], config)
        self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        self.outputs = [tensor.name for tensor in self.session.get_outputs()]

    def execute(self, requests):
        """Run requests of one shape together; a request that fails does so alone."""
        responses = [None] * len(requests)
        groups = defaultdict(list)
        for place, request in enumerate(requests):
            try:
                arrays = [_array(request, name) for name in self.inputs]
                wanted = tuple(name for name in self.outputs if name in request.requested_output_names())
                shapes = tuple(array.shape[1:] if self.batched else array.shape for array in arrays)
                key = (shapes, wanted) if self.batched else place
                groups[key].append((place, arrays, wanted))
            except Exception as error:
                responses[place] = _failed(error)
        for members in groups.values():
            self._run(members, responses)
        return responses

    def _run(self, members, responses):
        wanted = members[0][2]
        feeds = {
            name: np.concatenate([arrays[index] for _, arrays, _ in members])
            if len(members) > 1
            else members[0][1][index]
            for index, name in enumerate(self.inputs)
        }
        try:
            results = self.session.run(list(wanted), feeds)
        except Exception as error:
            if len(members) == 1:
                responses[members[0][0]] = _failed(error)
                return
            for member in members:  # find the one that broke the batch
                self._run([member], responses)
            return
        start = 0
        for place, arrays, _ in members:
            count = arrays[0].shape[0] if self.batched else None
            part = slice(start, start + count) if self.batched else slice(None)
            tensors = [
                pb_utils.Tensor(name, np.ascontiguousarray(result[part]))
                for name, result in zip(wanted, results, strict=True)
            ]
            responses[place] = pb_utils.InferenceResponse(output_tensors=tensors)
            start += count or 0

    def finalize(self):
        self.session = None


def _array(request, name):
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        raise ValueError(f"input {name!r} is missing")
    return tensor.as_numpy()


def _failed(error):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))


def _described(tensor, batched):
    shape = tensor.shape[1:] if batched else tensor.shape
    dims = [size if isinstance(size, int) else -1 for size in shape]
    return {"name": tensor.name, "data_type": TYPES[tensor.type], "dims": dims}


def _model_folder():
    """Auto-completion is not told of the model's folder; the stub's first argument is a file in one of its versions."""
    with open("/proc/self/cmdline", "rb") as opened:
        return os.path.dirname(os.path.dirname(opened.read().decode().split("\0")[1]))
