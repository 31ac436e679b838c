"""What the stand-in refuses, in the one error shape of Mailchimp's API.

The titles are Mailchimp's, because a client decides by them; the sentences are ours. Three fragments of wording
that clients use as hints ("looks fake or invalid", "valid email", "signed up to a lot of lists very recently") are kept.
"""

import uuid

import msgspec

PROBLEM_TYPE = "https://mailchimp.com/developer/marketing/docs/errors/"


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One refused field, as it stands in the `errors` list of an answer."""

    field: str
    message: str


class Problem(Exception):
    """A refusal that the HTTP layer answers as `application/problem+json`."""

    def __init__(self, status: int, title: str, *, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors

    def document(self) -> dict[str, object]:
        """Return the answer's body. `errors` is there only when a field is to blame."""
        document: dict[str, object] = {
            "type": PROBLEM_TYPE,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": str(uuid.uuid4()),
        }
        if self.errors:
            document["errors"] = msgspec.to_builtins(self.errors)
        return document


def invalid_resource(*errors: FieldError) -> Problem:
    return Problem(400, "Invalid Resource", detail="The resource did not pass validation; see errors.", errors=errors)


def invalid_field(field: str, message: str) -> Problem:
    return invalid_resource(FieldError(field=field, message=message))


def invalid_address(detail: str) -> Problem:
    """Refuse an address as such. The real service names no field here, only a sentence."""
    return Problem(400, "Invalid Resource", detail=detail)


def resource_not_found() -> Problem:
    return Problem(404, "Resource Not Found", detail="The requested resource could not be found.")


def method_not_allowed(detail: str = "The resource does not support this method.") -> Problem:
    return Problem(405, "Method Not Allowed", detail=detail)


def api_key_invalid() -> Problem:
    return Problem(401, "API Key Invalid", detail="The API key is missing, wrong or for another data centre.")


def malformed_json() -> Problem:
    return Problem(400, "JSON Parse Error", detail="The body is not valid JSON.")


def unsupported_media_type() -> Problem:
    return Problem(415, "Unsupported Media Type", detail="The body must be sent as application/json.")


def member_exists(email_address: str) -> Problem:
    return Problem(400, "Member Exists", detail=f"{email_address} is already in this audience; use PUT to update it.")


def member_in_compliance_state(email_address: str, reason: str) -> Problem:
    return Problem(400, "Member In Compliance State", detail=f"{email_address} cannot be changed like this: {reason}.")


def forgotten_email(email_address: str) -> Problem:
    detail = f"{email_address} was permanently deleted and can only come back through a sign-up form."
    return Problem(400, "Forgotten Email Not Subscribed", detail=detail)
