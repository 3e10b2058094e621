"""Python-based Triton backend ``dali``: runs the serialized pipeline ``<version>/model.dali`` on the CPU.

It accepts the same ``config.pbtxt`` as NVIDIA's ``dali_backend``. Each input of the model is the external source of the
same name. The outputs of the pipeline are the outputs of the model, in the order of the config. The only supported
parameter is ``num_threads``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

# Triton's stub runs Python in isolated mode, which ignores PYTHONPATH. Add the packages of the environment here.
sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]

import numpy as np
import nvidia.dali as dali
import triton_python_backend_utils as pb_utils

SERVER_POLL_S = 1.0
DEFAULT_MAX_BATCH = 8
DEFAULT_THREADS = 2


class TritonPythonModel:
    """One instance of a pipeline."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        """Add the batch size. Inputs and outputs must be declared, because a serialized pipeline has no types."""
        config = auto_complete_model_config.as_dict()
        if not config.get("input") or not config.get("output"):
            raise ValueError(f"model {config.get('name')!r}: config.pbtxt must declare the inputs and outputs")
        if not config.get("max_batch_size"):
            auto_complete_model_config.set_max_batch_size(DEFAULT_MAX_BATCH)
        return auto_complete_model_config

    def initialize(self, args):
        """Load the pipeline."""
        threading.Thread(target=_end_with_server, args=(os.getppid(),), daemon=True).start()
        config = json.loads(args["model_config"])
        self.batch = config["max_batch_size"]
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]
        threads = config.get("parameters", {}).get("num_threads", {}).get("string_value")
        self.threads = int(threads or DEFAULT_THREADS)
        file = config.get("default_model_filename") or "model.dali"
        path = os.path.join(args["model_repository"], str(args["model_version"]), file)
        with open(path, "rb") as stream:
            self.definition = stream.read()
        self.pipeline = self._build()

    def _build(self):
        return dali.Pipeline.deserialize(
            self.definition,
            batch_size=self.batch,
            num_threads=self.threads,
            device_id=None,
            exec_async=False,
            exec_pipelined=False,
            prefetch_queue_depth=1,
        )

    def execute(self, requests):
        """Run all requests as batches. A request with an image that cannot be decoded does not affect the others."""
        responses = [None] * len(requests)
        samples = []
        for index, request in enumerate(requests):
            try:
                arrays = [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs]
                samples += [(index, [array[row] for array in arrays]) for row in range(arrays[0].shape[0])]
            except Exception as error:
                responses[index] = _error_response(error)
        results = {index: [] for index in range(len(requests))}
        for start in range(0, len(samples), self.batch):
            self._run(samples[start : start + self.batch], results, responses)
        for index in range(len(requests)):
            if responses[index] is None:
                rows = results[index]
                tensors = [
                    pb_utils.Tensor(name, np.stack([row[position] for row in rows]))
                    for position, name in enumerate(self.outputs)
                ]
                responses[index] = pb_utils.InferenceResponse(output_tensors=tensors)
        return responses

    def _run(self, samples, results, responses):
        """Run one batch of (request index, input arrays); append the outputs of each to ``results`` of its request."""
        try:
            for position, name in enumerate(self.inputs):
                self.pipeline.feed_input(name, [np.ascontiguousarray(arrays[position]) for _, arrays in samples])
            outputs = self.pipeline.run()
        except Exception as error:
            self.pipeline = self._build()  # a pipeline cannot run again after an error
            if len(samples) == 1:
                responses[samples[0][0]] = _error_response(error)
                return
            for sample in samples:  # one of them failed; run them separately
                self._run([sample], results, responses)
            return
        for row, (index, _) in enumerate(samples):
            results[index].append([np.array(output.at(row)) for output in outputs])

    def finalize(self):
        """Release the pipeline."""
        self.pipeline = None


def _end_with_server(server):
    """End this process when Triton, its parent, was killed. It would otherwise finish its inference, however long."""
    while os.getppid() == server:
        time.sleep(SERVER_POLL_S)
    os._exit(1)


def _error_response(error):
    """Return an error response with the first line of the message; DALI appends a stack trace."""
    lines = str(error).strip().splitlines()
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(lines[0] if lines else type(error).__name__))
