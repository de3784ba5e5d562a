"""The samples in serving/tf_serving: each is what TF Serving, nginx, Docker and Kubernetes read."""

import http.client
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from concurrent import futures

import grpc
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving import batching
from serving.limits import Limits

from .conftest import REPOSITORY

FOLDER = REPOSITORY / "serving" / "tf_serving"
FIELD = descriptor_pb2.FieldDescriptorProto
FACTS = {"limits": {"max_rows": Limits().max_rows}}
# The fields of session_bundle_config.proto and monitoring_config.proto: tensorflow-serving-api has
# the classes of neither. Message -> {field: (number, type, whether repeated)}.
INT64, STRING = ".google.protobuf.Int64Value", ".google.protobuf.StringValue"
BOOL = ".google.protobuf.BoolValue"
MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": (1, INT64, False),
        "batch_timeout_micros": (2, INT64, False),
        "max_enqueued_batches": (3, INT64, False),
        "num_batch_threads": (4, INT64, False),
        "thread_pool_name": (5, STRING, False),
        "allowed_batch_sizes": (6, FIELD.TYPE_INT64, True),
        "pad_variable_length_inputs": (7, FIELD.TYPE_BOOL, False),
        # The text form needs no numbers, and this one may be another in TF Serving.
        "enable_large_batch_splitting": (8, BOOL, False),
    },
    "PrometheusConfig": {"enable": (1, FIELD.TYPE_BOOL, False), "path": (2, FIELD.TYPE_STRING, False)},
    "MonitoringConfig": {"prometheus_config": (1, ".t.PrometheusConfig", False)},
}


def parse(name, text):
    """A text-format message of one of `MESSAGES`."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    for message, fields in MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, (number, kind, is_repeated) in fields.items():
            label = FIELD.LABEL_REPEATED if is_repeated else FIELD.LABEL_OPTIONAL
            added = described.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = FIELD.TYPE_MESSAGE, kind
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return text_format.Parse(text, message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}"))())


def models(text):
    (config,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    return config


@pytest.mark.parametrize(
    "file, versions, labels",
    [("models.config", [1], {"stable": 1}), ("models.canary.config", [1, 2], {"stable": 1, "canary": 2})],
)
def test_the_configuration_of_models_is_read_by_tf_servings_protocol_buffer(file, versions, labels):
    config = models((FOLDER / file).read_text())
    assert (config.name, config.base_path, config.model_platform) == (
        "numbers",
        "/models/numbers",
        "tensorflow",
    )
    assert list(config.model_version_policy.specific.versions) == versions
    assert dict(config.version_labels) == labels and set(labels.values()) == set(versions)


def test_the_batching_parameters_are_those_that_versions_bring_and_threads():
    text = (FOLDER / "batching_parameters.txt").read_text()
    found, own = (parse("BatchingParameters", x) for x in (text, batching.parameters(["text"], FACTS)))
    assert found.num_batch_threads.value >= 1 and not own.HasField("num_batch_threads")
    for name in ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches"):
        assert getattr(found, name).value == getattr(own, name).value
    assert not found.enable_large_batch_splitting.value
    assert found.max_batch_size.value <= Limits().max_rows
    with pytest.raises(text_format.ParseError):
        parse("BatchingParameters", "max_batch_sizes { value: 3 }")


def test_monitoring_is_where_prometheus_reads_it():
    found = parse("MonitoringConfig", (FOLDER / "monitoring.config").read_text()).prometheus_config
    (job,) = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    assert found.enable and found.path == job["metrics_path"]
    assert job["static_configs"] == [{"targets": ["serving:8501"]}]


# Of `tensorflow_model_server --help`.
FLAGS = {
    "port",
    "rest_api_port",
    "rest_api_timeout_in_ms",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "allow_version_labels_for_unavailable_models",
    "monitoring_config_file",
    "enable_profiler",
}


def flags(arguments):
    return dict(argument.removeprefix("--").split("=") for argument in arguments)


def test_compose_starts_the_stock_image_behind_the_proxy():
    services = yaml.safe_load((FOLDER / "docker-compose.yaml").read_text())["services"]
    serving, proxy = services["serving"], services["proxy"]
    assert serving["image"] == "tensorflow/serving:2.20.0"
    assert "ports" not in serving and serving["networks"] == ["inside"]
    assert serving["read_only"] and serving["cap_drop"] == ["ALL"]
    assert set(flags(serving["command"])) == FLAGS and flags(serving["command"])["enable_profiler"] == "false"
    assert proxy["ports"] == ["8443:8443", "8444:8444"]
    local = [mount.split(":")[0] for service in services.values() for mount in service["volumes"]]
    local = [mount for mount in local if mount.startswith("./")]
    assert local and all((FOLDER / mount).is_file() for mount in local)


@pytest.fixture(scope="module")
def kubernetes():
    objects = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))
    assert all({"apiVersion", "kind", "metadata"} <= set(found) for found in objects)
    assert len({(found["kind"], found["metadata"]["name"]) for found in objects}) == len(objects)
    return {found["kind"]: found for found in objects}


def test_kubernetes_starts_what_compose_starts(kubernetes):
    compose = yaml.safe_load((FOLDER / "docker-compose.yaml").read_text())["services"]["serving"]
    (container,) = kubernetes["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == compose["image"] and container["args"] == compose["command"]
    config = kubernetes["ConfigMap"]["data"]
    assert models(config["models.config"]) == models((FOLDER / "models.config").read_text())
    assert parse("MonitoringConfig", config["monitoring.config"]).prometheus_config.enable
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in kubernetes["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert set(mounts) == volumes and "subPath" not in mounts["config"] and mounts["models"]["readOnly"]


def test_the_parts_of_kubernetes_name_each_other(kubernetes):
    deployment = kubernetes["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (
        deployment["selector"]["matchLabels"],
        kubernetes["Service"]["spec"]["selector"],
        kubernetes["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    scaled = kubernetes["HorizontalPodAutoscaler"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == kubernetes["Deployment"]["metadata"]["name"]
    assert scaled["minReplicas"] <= deployment["replicas"] <= scaled["maxReplicas"]
    (container,) = deployment["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/v1/models/numbers/metadata", "port": "rest"}
    assert container["resources"]["requests"]["cpu"], "the autoscaler divides by it"


# nginx, before a stand-in.

needs_nginx = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("openssl")), reason="no nginx or no openssl here"
)


class Rest(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = {"method": self.command, "path": self.path, "size": len(body), "headers": dict(self.headers)}
        answer = json.dumps(asked).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def certificates(folder):
    """server.pem, server.key; client.pem, client.key, signed by clients.pem."""

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=folder)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    openssl("req", "-x509", *curve, *names, "-keyout", "server.key", "-out", "server.pem")
    openssl("req", "-x509", *curve, "-subj", "/CN=clients", "-keyout", "clients.key", "-out", "clients.pem")
    openssl("req", *curve, "-subj", "/CN=client", "-keyout", "client.key", "-out", "client.csr")
    sign = ("-CA", "clients.pem", "-CAkey", "clients.key", "-CAcreateserial", "-days", "2")
    openssl("x509", "-req", "-in", "client.csr", *sign, "-out", "client.pem")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    """The sample, with other ports and places, before two stand-ins: its ports by name, and its folder."""
    folder = tmp_path_factory.mktemp("proxy")
    certificates(folder)
    rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    echo = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    methods = dict.fromkeys(("Predict", "GetModelStatus", "HandleReloadConfigRequest"), echo)
    for service in ("PredictionService", "ModelService"):
        handler = grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", methods)
        server.add_generic_rpc_handlers((handler,))
    ports = {"8443": free_port(), "8444": free_port(), "8501": rest.server_port}
    ports["8500"] = server.add_insecure_port("127.0.0.1:0")
    server.start()
    text = (FOLDER / "nginx.conf").read_text().replace("/certificates/", f"{folder}/")
    text = text.replace("/tmp/nginx", f"{folder}/nginx").replace("server serving:", "server 127.0.0.1:")
    for port, other in ports.items():
        text = text.replace(f":{port};", f":{other};").replace(
            f"listen {port} ", f"listen 127.0.0.1:{other} "
        )
    path = folder / "nginx.conf"
    path.write_text(text)
    command = ["nginx", "-e", str(folder / "error.log"), "-c", str(path)]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen([*command, "-g", "daemon off; master_process off;"])
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", ports["8443"])) == 0:
                break
        time.sleep(0.05)
    yield {"rest": ports["8443"], "grpc": ports["8444"], "folder": folder}
    process.terminate()
    process.wait()
    rest.shutdown()
    server.stop(None)


def ask(proxy, method, path, body=None, headers=(), certificate=True):
    """(status, answer) of a request through the proxy."""
    context = ssl.create_default_context(cafile=proxy["folder"] / "server.pem")
    if certificate:
        context.load_cert_chain(proxy["folder"] / "client.pem", proxy["folder"] / "client.key")
    connection = http.client.HTTPSConnection("localhost", proxy["rest"], context=context, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@needs_nginx
@pytest.mark.parametrize("place", ["", "/versions/3", "/labels/stable"])
def test_a_prediction_and_a_status_come_through(proxy, place):
    path = f"/v1/models/numbers{place}"
    status, answer = ask(proxy, "POST", f"{path}:predict", b'{"inputs": ["a"]}')
    assert (
        status == 200 and json.loads(answer)["path"] == f"{path}:predict" and json.loads(answer)["size"] == 17
    )
    status, answer = ask(proxy, "GET", path)
    assert status == 200 and json.loads(answer)["path"] == path


@needs_nginx
@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/v1/models/numbers:predict", 403),
        ("POST", "/v1/models/numbers", 403),
        ("POST", "/v1/models/numbers:classify", 404),
        ("GET", "/v1/models/numbers/metadata", 404),
        ("GET", "/monitoring/prometheus/metrics", 404),
        ("GET", "/v1/models/../../monitoring/prometheus/metrics", 404),
        ("POST", "/v1/models/a%2fb:predict", 404),
        ("GET", "/", 404),
    ],
)
def test_nothing_else_comes_through(proxy, method, path, status):
    assert ask(proxy, method, path, b"{}" if method == "POST" else None)[0] == status


@needs_nginx
def test_a_large_body_is_refused_and_its_encoding_is_not_handed_on(proxy):
    path = "/v1/models/numbers:predict"
    assert ask(proxy, "POST", path, b"x" * 65_537)[0] == 413
    status, answer = ask(proxy, "POST", path, b"x" * 65_536, {"Content-Encoding": "gzip"})
    headers = {name.lower() for name in json.loads(answer)["headers"]}
    assert status == 200 and "content-encoding" not in headers


@needs_nginx
def test_who_has_no_certificate_is_refused(proxy):
    status, answer = ask(proxy, "POST", "/v1/models/numbers:predict", b"{}", certificate=False)
    assert status == 400 and "certificate" in answer


@needs_nginx
def test_of_grpc_a_prediction_and_a_status_come_through_and_nothing_else(proxy):
    read = [(proxy["folder"] / name).read_bytes() for name in ("server.pem", "client.key", "client.pem")]
    with grpc.secure_channel(f"localhost:{proxy['grpc']}", grpc.ssl_channel_credentials(*read)) as channel:
        for method in ("PredictionService/Predict", "ModelService/GetModelStatus"):
            assert channel.unary_unary(f"/tensorflow.serving.{method}")(b"asked", timeout=30) == b"asked"
        for method in (
            "tensorflow.serving.ModelService/HandleReloadConfigRequest",
            "tensorflow.ProfilerService/Profile",
        ):
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(f"/{method}")(b"asked", timeout=30)
            assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
