"""The page's application over a TF Serving that is made up, all in this process."""

import asyncio
import importlib.util

import pytest

# Without the extra `web` the files of tests skip themselves.
if importlib.util.find_spec("starlette"):
    import httpx

    from serving.web import app, keys
    from serving.web.models import Models
    from serving.web.upstream import Rest, Upstream
    from tests.serving.web.fake_tf_serving import FakeServing


class Web:
    """The application, asked without sockets.

    Args:
        fake: `FakeServing`.
        models: as on the command line.
        allowance: `keys.Allowance`; anybody may ask for 1,000 characters if None.
    """

    def __init__(self, fake, *models, allowance=None, max_rows=32, timeout=30.0):
        self.fake = fake
        self.runner = asyncio.Runner()
        rest = Rest("fake:1", timeout, None)
        rest.client = httpx.AsyncClient(transport=httpx.ASGITransport(fake.app))
        upstream = Upstream("fake:1", timeout)
        upstream.transport = rest
        self.models = Models.read(models, upstream, max_rows)
        self.app = app.create(self.models, allowance or keys.open_to_all(1000))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://web")

    def get(self, path, **options):
        return self.runner.run(self.client.get(path, **options))

    def post(self, path, fields=None, **options):
        """Fields are sent in JSON."""
        options = options if fields is None else {"json": fields, **options}
        return self.runner.run(self.client.post(path, **options))

    def post_all(self, path, *bodies):
        """Several requests at once."""

        async def ask():
            return await asyncio.gather(*(self.client.post(path, json=fields) for fields in bodies))

        return self.runner.run(ask())


def german(text):
    """Translations that are easy to check."""
    words = {"One.": ["Eins.", "Eine.", "Ein."], "Two!": ["Zwei!", "Zwo!"], "Three": ["Drei"]}
    return words.get(text, [f"<{text}>"])


@pytest.fixture
def fake():
    return FakeServing(german=german, korean=lambda text: [text.upper()], plain=lambda text: [text[::-1]])


@pytest.fixture
def web(fake):
    web = Web(fake, "german=en:de", "korean=en:ko", "plain")
    yield web
    web.runner.close()


@pytest.fixture
def make_web(fake):
    """`make_web(...)`: as `Web`, over `fake`."""
    made = []

    def make(*models, **options):
        made.append(Web(fake, *(models or ["german=en:de"]), **options))
        return made[-1]

    yield make
    for web in made:
        web.runner.close()
