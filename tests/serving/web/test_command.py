"""The command: options, what it prints, the server around the application."""

import contextlib
import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

pytest.importorskip("starlette", reason='pip install ".[web]"')

import command_line  # noqa: E402
from serving import web  # noqa: E402
from serving.web import server  # noqa: E402
from tests.serving.web.fake_tf_serving import running  # noqa: E402

TARGET = ["--target", "localhost:1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "localhost", "--model", "m"], "`target` must be HOST:PORT"),
        (
            [*TARGET, "--model", "m", "--port", "70000"],
            "`port` must be from 0 to 65535. Received: port=70000.",
        ),
        (
            [*TARGET, "--model", "m", "--timeout", "0"],
            "`timeout` must be from 0.1 to 3600. Received: timeout=0.0.",
        ),
        ([*TARGET, "--model", "m", "--max_rows", "0"], "`max_rows` must be from 1 to 4096."),
        ([*TARGET, "--model", "m=en"], "`model` must be NAME or NAME=SOURCE:TARGET. Received: model='m=en'."),
        ([*TARGET, "--model", "=en:de"], "`model` must be NAME or NAME=SOURCE:TARGET."),
        ([*TARGET, "--model", "m", "--model", "m=en:de"], "`model` must be there once for each name."),
        ([*TARGET, "--model", "m", "--certificate", "a.pem"], "A client's certificate and its key belong"),
    ],
)
def test_wrong_options_are_told(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        web.main(arguments)


def test_a_file_of_keys_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        web.main([*TARGET, "--model", "m", "--keys", str(tmp_path / "keys.json")])


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(OSError, match=f"The page cannot listen on 127.0.0.1:{port}: "):
            web.main([*TARGET, "--model", "m", "--port", port])


def test_it_says_where_it_serves_and_which_model_is_missing(fake, monkeypatch, capsys):
    servers = []
    monkeypatch.setattr(
        server.uvicorn.Server,
        "capture_signals",
        lambda self: servers.append(self) or contextlib.nullcontext(),
    )
    with running(fake.app) as target:
        arguments = ["--target", target, "--model", "german=en:de", "--model", "other", "--port", "0"]
        thread = threading.Thread(target=web.main, args=(arguments,))
        thread.start()
        try:
            printed = ""
            while "other at" not in printed:
                found = capsys.readouterr()
                printed += found.out + found.err
                assert thread.is_alive()
                time.sleep(0.01)
            address = re.search(r"serving.web ready: (http://127.0.0.1:\d+/)", printed)[1]
            assert f"other at {target}: NOT_FOUND: Servable not found for request: Latest(other)" in printed
            with urllib.request.urlopen(address) as page:
                assert b"<title>Translate</title>" in page.read()
                assert "server" not in page.headers
        finally:
            for one in servers:  # TF Serving's, too: which of them began first is not known
                one.should_exit = True
            thread.join(timeout=60)


def test_help_needs_no_package_of_the_extra(monkeypatch, capsys):
    for name in ("starlette", "uvicorn", "httpx", "sentencex", "babel"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as end:
        web.main(["--help"])
    assert end.value.code == 0 and "--keys" in capsys.readouterr().out


def test_a_package_that_is_missing_is_one_line_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    for name in [name for name in sys.modules if name.startswith(("serving.web.", "starlette."))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("app", "server"):
        monkeypatch.delattr(web, name, raising=False)
    with pytest.raises(SystemExit, match=r'starlette must be installed: pip install "\.\[web\]" in a clone'):
        command_line.run(lambda: web.main([*TARGET, "--model", "m"]))


def test_ipv6_is_listened_on():
    try:
        listening = server.listen("::1", 0)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with listening:
        assert listening.family == socket.AF_INET6


def test_the_client_of_the_api_works_as_it_is(make_web):
    libretranslatepy = pytest.importorskip("libretranslatepy", reason="it is not installed")
    web = make_web("german=en:de")
    with running(web.app) as address:
        client = libretranslatepy.LibreTranslateAPI(f"http://{address}")
        assert client.languages() == [{"code": "en", "name": "English", "targets": ["de"]}]
        assert client.translate("One. Two!\n\nThree", "en", "de") == "Eins. Zwei!\n\nDrei"
        assert client.detect("One.") == [{"confidence": 100.0, "language": "en"}]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            client.translate("One.", "en", "fr")
