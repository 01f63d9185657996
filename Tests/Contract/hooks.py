"""What schemathesis has to know beyond the document. Each entry says why the document cannot say it."""

import itertools
import json
import os
import re

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData

if "FIRSTCOME_ADMIN" in os.environ:

    @schemathesis.auth(refresh_interval=None)
    class WhoeverMay:
        """Gives each request the token of somebody who may send it: what an admin makes, a user can order then."""

        turns = itertools.count()

        def get(self, case, context):
            who = context.operation.definition.raw["x-who"]
            mine = (case.path_parameters or {}).get("userId") == 1
            by_user = {"all": False, "user": True, "admin": False, "self or admin": mine, "owner or admin": next(self.turns) % 2 == 0}
            return os.environ["FIRSTCOME_USER" if by_user[who] else "FIRSTCOME_ADMIN"]

        def set(self, case, token, context):
            case.headers["Authorization"] = f"Bearer {token}"


keys = itertools.count(1)
used_keys = set()


@schemathesis.hook
def map_case(context, case):
    """Changes a generated request where it would only ask what is known to be refused."""
    if is_positive(case):
        case.body = with_integers_as_written(case.body)
    give_key_of_its_own(case)
    return case


def is_positive(case):
    return case.meta is None or case.meta.generation.mode.is_positive


def with_integers_as_written(value):
    """Integers without a fraction.

    JSON Schema takes 1000.0 as an integer, and has no way to say otherwise. The service refuses it, because money is never a float: the
    description of the document says so.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: with_integers_as_written(member) for name, member in value.items()}
    if isinstance(value, list):
        return [with_integers_as_written(element) for element in value]
    return value


def give_key_of_its_own(case):
    """Makes an Idempotency-Key one that no request before had.

    The generator uses the same few keys for different requests, which the service has to refuse with 422. Almost no request would then
    reach what it is made to test. The first request with a key keeps it, so that short and long ones are tried as they were generated.
    """
    headers = case.headers
    key = headers.get("Idempotency-Key") if headers else None
    if not isinstance(key, str) or not key.isascii() or not key.isprintable() or " " in key:
        return
    if key in used_keys:
        headers["Idempotency-Key"] = f"{next(keys)}-{key}"[:255]
    used_keys.add(key)


# Refusals that rest on what the store holds, which a schema of requests cannot know. Each is the answer that the contract demands.
REFUSED_BY_STATE = {
    # Another change came first.
    "PRECONDITION_FAILED",
    # The charge itself is good, but the balance is full.
    "BALANCE_LIMIT_EXCEEDED",
    # A key that a link or a replay brought a second time.
    "IDEMPOTENCY_KEY_REUSED",
}

# Rules between two fields, which JSON Schema has no words for, and sums that depend on what is stored: the field, and what the answer says
# of it.
REFUSED_TOGETHER = {
    ("closesAt", "must be after opensAt"),
    ("items", "the total is too large"),
    ("stockChange", "must leave at most 1000000000 units to be ordered"),
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops a failure of the check that valid requests are accepted, where a rule beyond the schema refused the request."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    if not has_headers_as_stated(case):
        return False
    problem = json.loads(response.content)
    if problem["code"] in REFUSED_BY_STATE:
        return False
    faults = {(fault["field"], fault["reason"]) for fault in problem.get("errors", [])}
    if faults == {("cursor", "must be the nextCursor of this list")}:
        return not is_cursor_of_another_order(case)
    return not (faults and faults <= REFUSED_TOGETHER)


def has_headers_as_stated(case):
    """Whether each header matches the pattern that the document states for it.

    Where an operation has a header of any text beside one with a pattern, the generator counts some requests as valid in which it has
    broken the pattern.
    """
    for parameter in case.operation.headers:
        pattern = parameter.definition.get("schema", {}).get("pattern")
        value = (case.headers or {}).get(parameter.name)
        if pattern and value is not None and not re.search(pattern, value):
            return False
    return True


def is_cursor_of_another_order(case):
    """Whether the cursor of a list of products was given out for another `sort` than the one that is asked for."""
    letters = {"newest": "n", "price": "p", "-price": "q"}
    if case.operation.definition.raw.get("operationId") != "listProducts":
        return False
    return not case.query["cursor"].startswith(letters[case.query.get("sort", "newest")])
