"""Generated bodies of requests by REST: each must be answered or refused, and none be a failure."""

import collections
import json

import urllib3
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as some

# Lone surrogates too: JSON can say them.
TEXTS = some.text(some.characters(exclude_categories=()), max_size=40)
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | TEXTS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
NAMED = some.sampled_from(["instances", "inputs", "text", "signature_name", "b64"])
ROWS = some.lists(
    TEXTS | some.fixed_dictionaries({"text": TEXTS}) | some.fixed_dictionaries({"b64": TEXTS}), max_size=4
)
DOCUMENTS = (
    VALUES
    | some.dictionaries(NAMED, VALUES | some.dictionaries(NAMED, VALUES, max_size=2), max_size=3)
    | some.fixed_dictionaries({"instances": ROWS})
    | some.fixed_dictionaries({"inputs": ROWS | TEXTS | some.fixed_dictionaries({"text": ROWS})})
)


@some.composite
def bodies(draw):
    """JSON that is nearly what a model takes, JSON that is not, such with bytes changed, and bytes."""
    if draw(some.integers(0, 9)) == 0:
        return draw(some.binary(max_size=100))
    body = json.dumps(draw(DOCUMENTS), ensure_ascii=draw(some.booleans())).encode("utf-8", "surrogatepass")
    if draw(some.integers(0, 3)) == 0:
        place = draw(some.integers(0, len(body)))
        end = draw(some.integers(place, len(body)))
        body = body[:place] + draw(some.binary(max_size=4)) + body[end:]
    return body


def ask(address, model, count) -> dict:
    """Sends generated bodies to a model one after the other.

    Args:
        address: HOST:PORT of REST.
        model: name of a model with the input "text".
        count: of bodies.

    Returns:
        How many answers there were of each status.

    Raises:
        ValueError: an answer was no result and no refusal; the smallest such body is told.
    """
    url = f"http://{address}/v1/models/{model}:predict"
    pool = urllib3.PoolManager(retries=False, timeout=60)
    statuses = collections.Counter()

    @seed(1)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(bodies())
    def one(body):
        answer = pool.request("POST", url, body=body)
        statuses[answer.status] += 1
        # Bytes that are no UTF-8 come back as they went.
        keys = list(json.loads(answer.data.decode("utf-8", "surrogateescape")))
        if (answer.status, keys) not in (
            (200, ["predictions"]),
            (200, ["outputs"]),
            (400, ["error"]),
        ):
            raise ValueError(f"A body must be answered or refused. Received: {body!r} -> {answer.data!r}.")

    one()
    return {"bodies": statuses.total(), **{f"status {key}": n for key, n in sorted(statuses.items())}}
