"""What `serving.client` raises when a server cannot be asked or refuses."""


class ServingError(OSError):
    """A request that was not answered.

    Args:
        code: name of the gRPC status code, also over REST: UNAVAILABLE, NOT_FOUND, ...
        message: what the server or the library said.
    """

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code
