"""Triton backend ``dali`` in Python: runs the serialized pipeline ``<version>/model.dali`` on the CPU.

It answers to the same ``config.pbtxt`` as NVIDIA's ``dali_backend``. Each input of the model is an external source
of that name; the pipeline's outputs are the model's outputs in the order of its config. Of its parameters it reads
``num_threads``.
"""

import json
import os
import sys

# The stub that runs this file is an isolated Python: it is told of the environment's packages, and does not look.
sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]

import numpy as np
import nvidia.dali as dali
import triton_python_backend_utils as pb_utils

MAX_BATCH, THREADS = 8, 2


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        """A pipeline's file does not name its inputs' types, so the config must, as for NVIDIA's own backend."""
        config = auto_complete_model_config.as_dict()
        if not config.get("input") or not config.get("output"):
            raise ValueError(f"model {config.get('name')!r}: name the inputs and outputs in config.pbtxt")
        if not config.get("max_batch_size"):
            auto_complete_model_config.set_max_batch_size(MAX_BATCH)
        return auto_complete_model_config

    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.batch = config["max_batch_size"]
        self.inputs = [one["name"] for one in config["input"]]
        self.outputs = [one["name"] for one in config["output"]]
        threads = config.get("parameters", {}).get("num_threads", {}).get("string_value")
        self.threads = int(threads or THREADS)
        file = config.get("default_model_filename") or "model.dali"
        path = os.path.join(args["model_repository"], str(args["model_version"]), file)
        with open(path, "rb") as opened:
            self.definition = opened.read()
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
        """Decode what Triton hands over together; a picture that can't be decoded fails only its own request."""
        responses = [None] * len(requests)
        samples = []
        for place, request in enumerate(requests):
            try:
                arrays = [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs]
                samples += [(place, [array[row] for array in arrays]) for row in range(arrays[0].shape[0])]
            except Exception as error:
                responses[place] = _failed(error)
        results = {place: [] for place in range(len(requests))}
        for start in range(0, len(samples), self.batch):
            self._run(samples[start : start + self.batch], results, responses)
        for place in range(len(requests)):
            if responses[place] is None:
                rows = results[place]
                tensors = [
                    pb_utils.Tensor(name, np.stack([row[index] for row in rows]))
                    for index, name in enumerate(self.outputs)
                ]
                responses[place] = pb_utils.InferenceResponse(output_tensors=tensors)
        return responses

    def _run(self, samples, results, responses):
        try:
            for index, name in enumerate(self.inputs):
                self.pipeline.feed_input(name, [np.ascontiguousarray(arrays[index]) for _, arrays in samples])
            outputs = self.pipeline.run()
        except Exception as error:
            self.pipeline = self._build()  # a pipeline that failed can't run again
            if len(samples) == 1:
                responses[samples[0][0]] = _failed(error)
                return
            for sample in samples:
                self._run([sample], results, responses)
            return
        for row, (place, _) in enumerate(samples):
            results[place].append([np.array(output.at(row)) for output in outputs])

    def finalize(self):
        self.pipeline = None


def _failed(error):
    text = str(error).strip().splitlines()
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(text[0] if text else type(error).__name__))
