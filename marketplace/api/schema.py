"""The refusals that the OpenAPI document names for every call, beside what each call says of itself."""

from typing import Any

WRITES = ("post", "put", "patch", "delete")
EVERY = {
    "400": "Refused; nothing was changed.",
    "406": "The call cannot answer in any form that the Accept header names.",
    "429": "Too often; `Retry-After` says how many seconds to wait.",
}
SECURED = {"401": "It is not known who calls.", "403": "Who calls may not."}
WITH_BODY = {
    "408": "The body stopped coming.",
    "409": "It was right once, or would be at another time: nothing was changed.",
    "413": "The body is larger than this call takes.",
    "415": "The body is of another media type than this call takes.",
}
WITH_DATA = {"507": "The network's disk is full; what needs no new data goes on."}
TAKES_DATA = ("dataset_upload", "job_submit", "quote", "assignment_result")


def _refusal(name: str, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }


def refusals(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's hook after the document is made."""
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            found = dict(EVERY)
            if operation.get("security", [{}]) != [{}]:
                found |= SECURED
            if method in WRITES:
                found |= WITH_BODY
            if operation["operationId"] in TAKES_DATA:
                found |= WITH_DATA
            for status, description in found.items():
                operation["responses"].setdefault(status, _refusal("Refusal", description))
            if "{" in path:
                operation["responses"].setdefault("404", _refusal("Missing", "There is no such thing."))
            if any(parameter["name"] == "format" for parameter in operation.get("parameters", [])):
                operation["responses"].setdefault("404", _refusal("Missing", "There is no such form of the answer."))
            operation["responses"]["429"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return result
