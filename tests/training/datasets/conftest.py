"""The data sets as users have them."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def as_users_have_them(whole_held_out_splits):
    """See `tests.conftest`: elsewhere validation and test are small."""
