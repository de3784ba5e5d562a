"""TF Serving behind the page: a real export in the test double, over both ports; what is none of that."""

import asyncio
import re
import socket

import pytest

pytest.importorskip("starlette", reason='pip install ".[web]"')

from serving.client import Tls  # noqa: E402
from serving.client_errors import ServingError  # noqa: E402
from serving.web import app, keys, models  # noqa: E402
from serving.web.upstream import Upstream  # noqa: E402
from tests.serving.web.fake_tf_serving import FakeServing, running  # noqa: E402

QUESTION = "5 March. 7 March"


async def answers(target):
    """What the page and the API answer over one target: translation, models, details."""
    import httpx

    served = models.Models.read(["dates=en:de", "echo"], Upstream(target), 32)
    transport = httpx.ASGITransport(app.create(served, keys.open_to_all(1000)))
    async with httpx.AsyncClient(transport=transport, base_url="http://web", timeout=60) as client:
        fields = {"source": "en", "target": "de", "alternatives": 2}
        translated = await client.post("/translate", json={"q": QUESTION, **fields})
        listed = await client.get("/frontend/models")
        echoed = await client.post("/translate", json={"q": "a", "source": "echo", "target": "echo"})
        lacking = await client.post("/frontend/details", json={"model": "echo", "text": "a"})
        details = await client.post("/frontend/details", json={"model": "dates", "text": QUESTION})
    await served.upstream.close()
    return [answer.json() for answer in (translated, listed, echoed, lacking, details)]


def test_an_export_answers_over_rest_and_grpc_alike(double):
    over_rest, over_grpc = (asyncio.run(answers(target)) for target in (double.rest, double.grpc))
    assert over_grpc[:4] == over_rest[:4]
    with double.client("dates", signature="translate_nbest") as client:
        first, second, whole = (row["translations"] for row in client.rows(["5 March.", "7 March", QUESTION]))
    translated, listed, echoed, lacking, details = over_rest
    assert translated["translatedText"] == f"{first[0]} {second[0]}"
    assert translated["alternatives"][0] == f"{first[1]} {second[1]}"
    assert [model["problem"] for model in listed] == [None, None]
    assert listed[0]["alternatives"] and listed[0]["links"] and not listed[1]["links"]
    assert re.fullmatch(r"a \d+", echoed["translatedText"])  # with the version that the double has by now
    assert lacking == {
        "alternatives": {
            "problem": "The model echo was exported without `translate_nbest`, which this needs."
        },
        "links": {"problem": "The model echo was exported without `align`, which this needs."},
    }
    assert details["alternatives"][0]["text"] == whole[0]
    assert "".join(part for part, _ in details["links"]["source"]) == QUESTION
    assert "".join(part for part, _ in details["links"]["target"]) == whole[0]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_server_that_comes_and_goes_is_found_again():
    fake, port = FakeServing(m=lambda text: [text.upper()]), free_port()

    async def ask(asked):
        try:
            return await asked.predict("m", "serving_default", {"text": ["a"]})
        except ServingError as error:
            return error.code

    async def run():
        asked = Upstream(f"127.0.0.1:{port}", 5.0)
        found = [await ask(asked)]
        for _ in range(2):
            server = running(fake.app, port)
            await asyncio.to_thread(server.__enter__)
            found.append(await ask(asked))
            await asyncio.to_thread(server.__exit__, None, None, None)
            found.append(await ask(asked))
        await asked.close()
        return found

    assert asyncio.run(run()) == ["UNAVAILABLE", *[{"": ["A"]}, "UNAVAILABLE"] * 2]


@pytest.mark.parametrize(
    "said", [b"220 mail.example ESMTP\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"]
)
def test_what_is_no_tf_serving_gives_an_error_in_time(said, monkeypatch):
    async def run():
        async def answer(_, writer):
            writer.write(said)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            asked = Upstream(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", 3.0)
            with pytest.raises(ServingError) as error:
                await asked.metadata("m")
            await asked.close()
        return error.value.code

    assert asyncio.run(run()) in ("UNAVAILABLE", "INTERNAL")


def test_certificates_that_are_not_there_are_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        Upstream("localhost:1", 1.0, Tls(ca=str(tmp_path / "none.pem")))
