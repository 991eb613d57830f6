"""What a reader did wrong, or what cannot be answered now, in the one shape that every error of the API has."""

from exporter.errors import RequestError, Unavailable


class QueryError(RequestError):
    """A request that cannot be answered as it stands; `hint` says what to type instead."""

    status = 400
    code = "bad_request"

    def __init__(self, message: str, parameter: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.parameter = parameter
        self.hint = hint

    def body(self) -> dict[str, dict[str, str]]:
        """The answer's body."""
        return shape(self.code, self.message, self.parameter, self.hint)


class NotFound(QueryError):
    """Nothing of that name or id is stored."""

    status = 404
    code = "not_found"


class QueryTimeout(Unavailable):
    """The query took longer than a statement may."""


def shape(code: str, message: str, parameter: str | None = None, hint: str | None = None) -> dict[str, dict[str, str]]:
    """The JSON of an error: `code` and `message`, and `parameter` and `hint` where there are any."""
    error = {"code": code, "message": message}
    if parameter is not None:
        error["parameter"] = parameter
    if hint is not None:
        error["hint"] = hint
    return {"error": error}
