"""The API's description says what the table says, holds together, and can be read and tried by anybody."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec

from server.decoding import decode
from server.openapi import openapi_document
from server.openapi.examples import EXAMPLES
from server.openapi.page import render_page
from shared.endpoints import BY_OPERATION, ENDPOINTS, Caller, Endpoint
from shared.problems import Code, Problem
from tests.api.shop import Shop
from tests.app import World, expect

DOCUMENT: dict[str, Any] = openapi_document()
OPERATIONS: dict[str, Any] = {
    operation["operationId"]: operation | {"method": method.upper(), "path": path}
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


def walk(value: object) -> Iterator[dict[str, Any]]:
    """Yield every object in a document."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def resolve(reference: str) -> object:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


# The document and the table -------------------------------------------------------------------------------------------


def test_the_document_has_the_operations_of_the_table() -> None:
    assert {(op["method"], op["path"], name) for name, op in OPERATIONS.items()} == {
        (row.method, row.path, row.operation) for row in ENDPOINTS
    }


def test_an_operation_takes_and_gives_what_its_row_says() -> None:
    wrong = []
    for row in ENDPOINTS:
        try:
            check_operation(OPERATIONS[row.operation], row)
        except AssertionError as error:
            wrong.append(f"{row.operation}: {error}")
    assert not wrong, "\n".join(wrong)


def check_operation(operation: dict[str, Any], row: Endpoint) -> None:
    schemes = {Caller.MEMBER: [{"member": []}], Caller.STAFF: [{"staff": []}], Caller.KEY: [{"key": []}]}
    assert operation.get("security", []) == schemes.get(row.caller, [])
    places = {(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])}
    wanted = {("path", name) for name in re.findall(r"\{(\w+)\}", row.path)} | {("query", name) for name in row.query}
    assert places == (wanted | {("header", "Idempotency-Key")} if row.idempotent else wanted)
    if row.request is None:
        assert "requestBody" not in operation
    else:
        media = operation["requestBody"]["content"]["application/json"]
        assert media["schema"] == {"$ref": f"#/components/schemas/{row.request.__name__}"}
    good = [status for status in operation["responses"] if status < "400"]
    assert good == [str(row.status)]
    if row.response is not None:
        schema = operation["responses"][str(row.status)]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{row.response.__name__}"}
    for status, answer in operation["responses"].items():
        if status >= "400":
            media = answer["content"]["application/problem+json"]
            assert media["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert {str(DOCUMENT["components"]["examples"][code]["value"]["status"]) for code in media["examples"]} == {
                status
            }
    assert ("401" in operation["responses"]) or row.caller is Caller.ANYONE
    assert operation["summary"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}


# The document by itself -----------------------------------------------------------------------------------------------


def test_the_document_has_the_parts_that_openapi_demands() -> None:
    assert re.fullmatch(r"3\.1\.\d+", DOCUMENT["openapi"])
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    assert DOCUMENT.keys() <= {"openapi", "info", "jsonSchemaDialect", "servers", "paths", "components", "tags"}
    for path, item in DOCUMENT["paths"].items():
        assert path.startswith("/")
        assert item.keys() <= {"get", "put", "post", "delete", "patch"}
    for operation in OPERATIONS.values():
        for answer in operation["responses"].values():
            assert answer["description"]
        for parameter in operation.get("parameters", []):
            assert parameter["schema"]
            assert parameter["in"] != "path" or parameter["required"] is True
    for scheme in DOCUMENT["components"]["securitySchemes"].values():
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_every_reference_leads_somewhere_and_everything_is_referred_to() -> None:
    used = {part["$ref"] for part in walk(DOCUMENT) if "$ref" in part}
    for reference in used:
        assert isinstance(resolve(reference), dict), reference
    for kind in ("schemas", "headers"):
        names = {f"#/components/{kind}/{name}" for name in DOCUMENT["components"][kind]}
        assert names <= used, kind
    codes = {f"#/components/examples/{code}" for code in Code}
    # Of these any operation may speak, or none: a wrong method, states that nothing leads to yet.
    assert codes - used <= {
        f"#/components/examples/{code}"
        for code in ("METHOD_NOT_ALLOWED", "EMAIL_CHANGE_PENDING", "MEMBERSHIP_CLOSED", "INSUFFICIENT_POINTS")
    }


def test_schemas_use_only_words_of_json_schema() -> None:
    words = {
        "$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum", "format", "items", "maximum", "maxItems",
        "maxLength", "minimum", "minItems", "minLength", "pattern", "prefixItems", "properties", "required", "title", "type",
    }  # fmt: skip

    def check(schema: dict[str, Any]) -> None:
        assert schema.keys() <= words, schema.keys() - words
        for part in [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]:
            check(part)
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), dict):
                check(schema[name])
        assert set(schema.get("required", ())) <= schema.get("properties", {}).keys()

    for schema in DOCUMENT["components"]["schemas"].values():
        check(schema)


def test_requests_refuse_what_they_do_not_know_and_answers_may_grow() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for row in ENDPOINTS:
        if row.request is not None:
            assert schemas[row.request.__name__]["additionalProperties"] is False
        if row.response is not None:
            assert "additionalProperties" not in schemas[row.response.__name__]


def test_instants_are_marked_as_such() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Balance"]["properties"]["as_of"]["format"] == "date-time"
    assert schemas["PosOrder"]["properties"]["completed_at"]["format"] == "date-time"
    assert schemas["Me"]["properties"]["redemption_held_until"]["anyOf"][0]["format"] == "date-time"


def test_every_message_has_an_example_that_decodes() -> None:
    assert set(EXAMPLES) == {row.request for row in ENDPOINTS if row.request}
    for kind, example in EXAMPLES.items():
        decode(json.dumps(example).encode(), kind)


def test_the_examples_of_refusals_are_refusals() -> None:
    for code, example in DOCUMENT["components"]["examples"].items():
        problem = msgspec.convert(example["value"], Problem)
        assert problem.code == code
        assert problem.status >= 400


def test_the_document_names_no_place_of_this_machine() -> None:
    text = json.dumps(DOCUMENT)
    assert not re.search(r"/work/|localhost|127\.0\.0\.1|\.py\b|asyncpg", text)


# The document and the page, served ------------------------------------------------------------------------------------


async def test_the_document_is_served_as_it_is_made(world: World) -> None:
    answer = await world.client.get("/schema/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert expect(answer, 200) == json.loads(json.dumps(DOCUMENT))


class Tags(HTMLParser):
    """Collects elements with their attributes, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


async def read_page(world: World) -> Tags:
    answer = await world.client.get("/schema")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    tags = Tags()
    tags.feed(answer.text)
    return tags


async def test_the_page_shows_every_operation_with_a_form_for_all_it_takes(world: World) -> None:
    page = await read_page(world)
    forms = [attributes for tag, attributes in page.elements if tag == "form"]
    assert {form["data-operation"]: (form["data-method"], form["data-path"]) for form in forms} == {
        row.operation: (row.method, row.path) for row in ENDPOINTS
    }
    assert {form["data-operation"]: form["data-credential"] for form in forms} == {
        row.operation: "" if row.caller is Caller.ANYONE else str(row.caller) for row in ENDPOINTS
    }
    inputs = [attributes for tag, attributes in page.elements if tag == "input" and "data-in" in attributes]
    assert len(inputs) == sum(len(operation.get("parameters", [])) for operation in OPERATIONS.values())
    assert sum(tag == "textarea" for tag, _ in page.elements) == sum(row.request is not None for row in ENDPOINTS)
    for operation in OPERATIONS.values():
        assert operation["summary"] in page.text


async def test_the_page_loads_nothing_that_its_policy_forbids(world: World) -> None:
    page = await read_page(world)
    policy = (await world.client.get("/schema")).headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert tag not in ("style", "iframe", "object", "embed", "base")
        for name in ("src", "href", "action"):
            place = attributes.get(name) or ""
            assert place.startswith(("/schema/", "#", "data:,")) or place == "", place
    for place, media_type in (("/schema/page.js", "text/javascript"), ("/schema/page.css", "text/css")):
        answer = await world.client.get(place)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(media_type)
        assert "://" not in answer.text


async def test_the_pages_script_never_makes_markup_of_what_it_received(world: World) -> None:
    script = (await world.client.get("/schema/page.js")).text
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
        "srcdoc",
        "localStorage",
        "sessionStorage",
    ):
        assert way not in script, way


async def test_everything_on_the_page_can_be_reached_and_named(world: World) -> None:
    page = await read_page(world)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        if tag == "a":
            target = attributes["href"] or ""
            assert not target.startswith("#") or target[1:] in ids, target
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
        assert attributes.get("tabindex") in (None, "0")
    assert ("html", {"lang": "en"}) in page.elements
    assert any(tag == "meta" and attributes.get("name") == "viewport" for tag, attributes in page.elements)


def test_the_page_escapes_whatever_is_in_the_document() -> None:
    hostile = "<img src=x onerror=alert(1)>\"'&`</textarea><script>"
    document = json.loads(json.dumps(DOCUMENT))
    operation = document["paths"]["/v1/signup"]["post"]
    operation["summary"] = operation["description"] = hostile
    operation["requestBody"]["content"]["application/json"]["example"] = {"email": hostile}
    operation["responses"]["202"]["description"] = hostile
    document["tags"][0]["description"] = document["info"]["description"] = hostile
    document["paths"]["/v1/pos/lookup"]["get"]["parameters"][0]["description"] = hostile
    page = Tags()
    page.feed(render_page(document))
    assert "img" not in {tag for tag, _ in page.elements}
    assert sum(tag == "script" for tag, _ in page.elements) == 1


# Trying it ------------------------------------------------------------------------------------------------------------


async def test_the_members_way_can_be_walked_with_the_examples(world: World) -> None:
    form = EXAMPLES[BY_OPERATION["sign_up"].request]  # type: ignore[index]
    expect(await world.client.post("/v1/signup", json=form), 202)
    token = (await world.mail_to(str(form["email"]), purpose="signup")).token
    expect(await world.client.post("/v1/signup/confirm", json={"token": token}), 201)
    sign_in = EXAMPLES[BY_OPERATION["sign_in"].request]  # type: ignore[index]
    tokens = expect(await world.client.post("/v1/sessions", json=sign_in), 201)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    for operation in ("get_me", "list_my_memberships", "get_my_consents", "list_my_sessions", "list_my_orders"):
        expect(await world.client.get(BY_OPERATION[operation].path, headers=headers), 200)
    for kind, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        card = await world.client.get(f"/v1/me/card.{kind}", headers=headers)
        assert card.content.startswith(start)
    for method, operation in (("PUT", "put_my_consents"), ("PATCH", "change_me")):
        example = EXAMPLES[BY_OPERATION[operation].request]  # type: ignore[index]
        expect(await world.client.request(method, BY_OPERATION[operation].path, json=example, headers=headers), 200)


async def test_the_tills_and_the_desks_examples_work(shop: Shop) -> None:
    assert (await shop.send("push_order")).status_code == 201
    assert (await shop.send("register_customer")).status_code == 201
    customer = expect(await shop.send("get_customer"), 200)
    change = EXAMPLES[BY_OPERATION["change_customer"].request]  # type: ignore[index]
    expect(await shop.send("change_customer", json=change | {"version": customer["version"]}), 200)
    for operation in ("preview_email_change", "preview_correction"):
        expect(await shop.send(operation), 200)
