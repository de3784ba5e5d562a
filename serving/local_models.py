"""The models of the local test double: numbered versions, watched and swapped; whom a request is for.

It follows tensorflow/serving's source where a client can see it. Its loader is TensorFlow's Python one, hence
load errors have other words. A version that fails to load is not tried again.

All but the loading and the running happens on one event loop, so nothing here is locked.
"""

import asyncio
import dataclasses
from concurrent import futures
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2

from serving import versions
from serving.local_servable import Servable, StatusError, of_model

State = get_model_status_pb2.ModelVersionStatus.State


def read_proto(text: str, message) -> Any:
    """Fills a message from its text form, that of TF Serving's configuration files, and returns it.

    Raises:
        ValueError: the text is no such message.
    """
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        name = message.DESCRIPTOR.name
        raise ValueError(f"This must be a {name} in text form: {text!r:.80}. Received: {error}.") from error


@dataclasses.dataclass
class Version:
    """One numbered folder of a model.

    Attributes:
        servable: while it is AVAILABLE. Requests hold it too: what is unloaded still answers those it had.
        error: StatusError of a load that failed.
        aspired: whether the version policy wants it.
    """

    folder: Path
    state: int = State.START
    servable: Servable | None = None
    error: StatusError | None = None
    aspired: bool = True


class Models:
    """All models of a server; the same for REST and gRPC.

    Args:
        config: a ModelServerConfig.
        threads: requests that run at once.
        queue: requests that may wait beside them; one more is refused at once.

    Raises:
        StatusError: the configuration names a model twice.
    """

    def __init__(self, config, threads: int, queue: int):
        self.versions: dict[str, dict[int, Version]] = {}
        # At the start no version is served: as with --allow_version_labels_for_unavailable_models.
        self.configs = by_name(config)
        self.room, self.in_flight = threads + queue, 0
        self.workers = futures.ThreadPoolExecutor(threads, "model")
        self.loader = futures.ThreadPoolExecutor(1, "loader")
        self.polling = asyncio.Lock()

    async def poll(self) -> None:
        """Looks at the folders once: loads what is new, then drops what is no longer wanted.

        Raises:
            StatusError: a model's folder is not there now; nothing changes, of no model.
        """
        async with self.polling:
            all_wanted = {name: aspired(config) for name, config in self.configs.items()}
            for name in {*self.versions, *self.configs}:
                versions = self.versions.setdefault(name, {})
                wanted = all_wanted.get(name, {})
                for number, folder in wanted.items():
                    known = versions.get(number)
                    if known is None or (known.state == State.END and not known.aspired):
                        versions[number] = Version(folder)
                        await self._load(number, versions[number])
                is_served = any(versions[number].servable for number in wanted)
                for number, version in versions.items():
                    version.aspired = number in wanted
                    # The old one goes when a wanted one is there, or when none is wanted at all.
                    if version.servable and not version.aspired and (is_served or not wanted):
                        version.servable, version.state = None, State.END

    def check_all_served(self) -> None:
        """Raises ValueError if a model has no version that is served, and says why."""
        for name, config in self.configs.items():
            versions = self.versions[name]
            if not any(version.servable for version in versions.values()):
                errors = {number: str(version.error) for number, version in versions.items()}
                why = errors or f"without numbered folders in {config.base_path}"
                raise ValueError(f"A model must have a version that loads. Received: {name}, {why}.")

    async def _load(self, number, version):
        version.state = State.LOADING
        loop = asyncio.get_running_loop()
        try:
            version.servable = await loop.run_in_executor(self.loader, Servable, number, version.folder)
            version.state = State.AVAILABLE
        except Exception as error:  # Whatever is wrong with a folder, the server goes on.
            version.state, version.error = State.END, of_model(error)

    def find(self, spec) -> Servable:
        """What a ModelSpec means now.

        Raises:
            StatusError: it is not served.
        """
        if not spec.name:
            raise StatusError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
        versions = self.versions.get(spec.name, {})
        served = {number: version.servable for number, version in versions.items() if version.servable}
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            number, wanted = max(served, default=None), f"Latest({spec.name})"
        else:
            number = spec.version.value
            if choice == "version_label":
                labels = self.configs[spec.name].version_labels if spec.name in self.configs else {}
                if spec.version_label not in labels:
                    message = f"Unrecognized servable version label: {spec.version_label}"
                    raise StatusError("INVALID_ARGUMENT", message)
                number = labels[spec.version_label]
            wanted = f"Specific({spec.name}, {number})"
        if number not in served:
            raise StatusError("NOT_FOUND", f"Servable not found for request: {wanted}")
        return served[number]

    async def predict(self, request, seconds=None) -> Any:
        """Answers a PredictRequest when its turn comes, with the version that it means now.

        Args:
            seconds: after which nobody waits for the answer any more; a request that has not begun by then is
                never run. None for ever.
        """
        servable = self.find(_spec(request))
        if self.in_flight >= self.room:
            # TF Serving's text goes on with numbers of its batches.
            message = "The batch scheduling queue to which this task was submitted is full"
            raise StatusError("UNAVAILABLE", message)
        running = asyncio.get_running_loop().run_in_executor(self.workers, servable.predict, request)
        self.in_flight += 1
        try:
            async with asyncio.timeout(seconds):
                return await running
        except TimeoutError:
            raise StatusError("DEADLINE_EXCEEDED", "Deadline exceeded") from None
        except Exception as error:  # Of the model, whatever it is.
            raise of_model(error) from error
        finally:
            self.in_flight -= 1

    async def metadata(self, request) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Answers a GetModelMetadataRequest: the signatures."""
        servable = self.find(_spec(request))
        if list(request.metadata_field) != ["signature_def"]:
            raise StatusError("INVALID_ARGUMENT", "Metadata field must be signature_def.")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = servable.number
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in servable.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        response.metadata["signature_def"].Pack(signatures)
        return response

    async def status(self, request) -> get_model_status_pb2.GetModelStatusResponse:
        """Answers a GetModelStatusRequest; versions that have ended are told too."""
        spec = _spec(request)
        versions = self.versions.get(spec.name, {})
        if spec.HasField("version"):
            number = spec.version.value
            if number not in versions:
                raise StatusError("NOT_FOUND", f"Could not find version {number} of model {spec.name}")
            versions = {number: versions[number]}
        if not versions:
            raise StatusError("NOT_FOUND", f"Could not find any versions of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, version in sorted(versions.items(), reverse=True):
            status = response.model_version_status.add(version=number, state=version.state).status
            status.SetInParent()
            if version.error:
                status.error_code, status.error_message = version.error.code.value[0], str(version.error)
        return response

    async def reload(self, request) -> model_management_pb2.ReloadConfigResponse:
        """Answers a ReloadConfigRequest, once what it names is loaded. The whole of it counts, or nothing."""
        configs = by_name(request.config)
        for name, model in configs.items():
            for number in model.version_labels.values():
                version = self.versions.get(name, {}).get(number)
                if version is None or not version.servable:
                    raise StatusError(
                        "FAILED_PRECONDITION",
                        f"Request to assign label to version {number} of model {name}, which is not "
                        "currently available for inference",
                    )
            aspired(model)  # Its folder must be there.
        self.configs = configs
        await self.poll()
        return model_management_pb2.ReloadConfigResponse()


def _spec(request):
    if not request.HasField("model_spec"):
        raise StatusError("INVALID_ARGUMENT", "Missing ModelSpec")
    return request.model_spec


def by_name(config) -> dict:
    """The ModelConfigs of a ModelServerConfig."""
    configs = {}
    for model in config.model_config_list.config:
        if model.name in configs:
            message = f"Illegal to list model {model.name} multiple times in config list"
            raise StatusError("INVALID_ARGUMENT", message)
        configs[model.name] = model
    return configs


def aspired(config) -> dict[int, Path]:
    """Numbered folders that the version policy of a ModelConfig wants; the newest without a policy.

    Raises:
        StatusError: there is no folder that can be read. It may come back: what is loaded stays.
    """
    try:
        Path(config.base_path).stat()
        # Of "01" and "1" the second, as in TF Serving.
        found = {number: path for number, path in versions.found(config.base_path) if path.is_dir()}
    except (OSError, ValueError) as error:
        message = f"Could not find base path {config.base_path} for servable {config.name} with error {error}"
        raise StatusError("INVALID_ARGUMENT", message) from error
    policy = config.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "specific":
        chosen = set(policy.specific.versions) & set(found)
    elif kind == "all":
        chosen = set(found)
    else:
        chosen = set(sorted(found)[-max(policy.latest.num_versions, 1) :])
    return {number: found[number] for number in sorted(chosen)}
