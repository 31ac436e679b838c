import pytest
from mailchimp_marketing import Client

from tests.standins.mailchimp import MailchimpStandIn
from tests.test_standins.builders import LIST_ID, Refused, md5, put

ANA = "ana@shop.test"
OURS = (("POINTS", "number"), ("LASTSEEN", "date"), ("CARDNO", "text"))


def add(client: Client, tag: str, kind: str, **more: object) -> dict[str, object]:
    body = {"tag": tag, "name": f"The {tag}", "type": kind, "public": False, **more}
    answer: dict[str, object] = client.lists.add_list_merge_field(LIST_ID, body)
    return answer


@pytest.fixture
def with_fields(client: Client) -> None:
    for tag, kind in OURS:
        add(client, tag, kind)


# Definitions.


def test_a_field_is_made_as_asked(client: Client, mailchimp: MailchimpStandIn) -> None:
    answer = add(client, "LASTSEEN", "date", options={"date_format": "MM/DD/YYYY"})
    assert (answer["tag"], answer["type"], answer["required"], answer["public"]) == ("LASTSEEN", "date", False, False)
    assert answer["options"] == {"date_format": "MM/DD/YYYY"}
    assert mailchimp.merge_fields()["LASTSEEN"].merge_id == answer["merge_id"]


def test_a_field_without_a_tag_gets_one(client: Client) -> None:
    answer = client.lists.add_list_merge_field(LIST_ID, {"name": "Shoe size", "type": "number"})
    assert answer["tag"] == f"MMERGE{answer['merge_id']}"


def test_the_list_of_fields_has_ten_unless_told_otherwise(client: Client) -> None:
    for number in range(7):
        add(client, f"F{number}", "text")
    answer = client.lists.get_list_merge_fields(LIST_ID)
    assert (len(answer["merge_fields"]), answer["total_items"]) == (10, 12)
    assert len(client.lists.get_list_merge_fields(LIST_ID, count=1000)["merge_fields"]) == 12
    assert client.lists.get_list_merge_fields(LIST_ID, type="birthday")["total_items"] == 1


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("tag", {"tag": "LASTSEENDAY"}),
        ("tag", {"tag": "points"}),
        ("tag", {"tag": "FNAME"}),
        ("tag", {"tag": "EMAIL"}),
        ("type", {"type": "boolean"}),
        ("name", {"name": " "}),
        ("options.choices", {"type": "dropdown"}),
    ],
)
def test_a_wrong_definition_is_refused_by_name(
    client: Client, mailchimp: MailchimpStandIn, refused: Refused, field: str, change: dict[str, object]
) -> None:
    body = {"tag": "POINTS", "name": "Points", "type": "number"} | change
    problem = refused(client.lists.add_list_merge_field, LIST_ID, body)
    assert problem["errors"][0]["field"] == field  # type: ignore[index]
    assert len(mailchimp.merge_fields()) == 5


def test_the_thirty_first_field_is_refused(client: Client, refused: Refused) -> None:
    for number in range(25):
        add(client, f"F{number}", "text")
    assert refused(add, client, "F25", "text")["status"] == 400


def test_a_changed_tag_keeps_the_values(client: Client, mailchimp: MailchimpStandIn, refused: Refused) -> None:
    merge_id = add(client, "POINTS", "number")["merge_id"]
    put(client, ANA, merge_fields={"POINTS": 5})
    client.lists.update_list_merge_field(LIST_ID, merge_id, {"tag": "BALANCE"})
    assert mailchimp.contact(ANA).merge_fields == {"BALANCE": 5}
    assert refused(client.lists.update_list_merge_field, LIST_ID, merge_id, {"type": "text"})["status"] == 400


def test_a_removed_field_takes_its_values_along(client: Client, mailchimp: MailchimpStandIn) -> None:
    merge_id = add(client, "POINTS", "number")["merge_id"]
    put(client, ANA, merge_fields={"POINTS": 5})
    client.lists.delete_list_merge_field(LIST_ID, merge_id)
    assert mailchimp.contact(ANA).merge_fields == {}
    assert "POINTS" not in client.lists.get_list_member(LIST_ID, md5(ANA))["merge_fields"]


# Values.


@pytest.mark.usefixtures("with_fields")
def test_values_are_kept_as_sent(client: Client) -> None:
    values = {"POINTS": 1250, "LASTSEEN": "2026-11-20", "CARDNO": "0042001337", "FNAME": "Ana"}
    assert put(client, ANA, merge_fields=values)["merge_fields"] == values | {
        "LNAME": "",
        "ADDRESS": "",
        "PHONE": "",
        "BIRTHDAY": "",
    }


@pytest.mark.usefixtures("with_fields")
@pytest.mark.parametrize("value", [None, True, False, [1], {"a": 1}])
@pytest.mark.parametrize("skip", [False, True])
def test_null_and_boolean_are_never_taken(client: Client, refused: Refused, value: object, skip: bool) -> None:
    problem = refused(put, client, ANA, skip=skip, merge_fields={"POINTS": value})
    assert problem["errors"][0]["field"] == "merge_fields.POINTS"  # type: ignore[index]


@pytest.mark.parametrize("skip", [False, True])
def test_a_value_for_an_undefined_field_is_refused(client: Client, refused: Refused, skip: bool) -> None:
    problem = refused(put, client, ANA, skip=skip, merge_fields={"POINTS": 1})
    assert problem["errors"][0]["field"] == "POINTS"  # type: ignore[index]


@pytest.mark.usefixtures("with_fields")
@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("POINTS", "many"),
        ("POINTS", "inf"),
        ("LASTSEEN", "20.11.2026"),
        ("LASTSEEN", "2026-02-30"),
        ("LASTSEEN", "2026-11-20T09:00:00Z"),
        ("BIRTHDAY", "1990-05-03"),
        ("ADDRESS", {"addr1": "1 High St", "city": "", "state": "", "zip": ""}),
        ("ADDRESS", "1 High St"),
        ("FNAME", {"addr1": "x"}),
    ],
)
def test_types_are_checked_unless_validation_is_skipped(
    client: Client, mailchimp: MailchimpStandIn, refused: Refused, tag: str, value: object
) -> None:
    problem = refused(put, client, ANA, merge_fields={tag: value})
    assert problem["errors"][0]["field"] == tag  # type: ignore[index]
    put(client, ANA, skip=True, merge_fields={tag: value})
    assert mailchimp.contact(ANA).merge_fields == {tag: value}


@pytest.mark.usefixtures("with_fields")
@pytest.mark.parametrize("text", ["2026-11-20", "2026/11/20", "20-11-2026", "11/20/2026"])
def test_a_day_is_read_in_four_ways(client: Client, mailchimp: MailchimpStandIn, text: str) -> None:
    put(client, ANA, merge_fields={"LASTSEEN": text})
    assert mailchimp.contact(ANA).merge_fields == {"LASTSEEN": "2026-11-20"}


@pytest.mark.usefixtures("with_fields")
def test_an_empty_text_clears_a_value(client: Client, mailchimp: MailchimpStandIn) -> None:
    put(client, ANA, merge_fields={"POINTS": 5, "LASTSEEN": "2026-11-20"})
    put(client, ANA, merge_fields={"POINTS": "", "LASTSEEN": ""})
    assert mailchimp.contact(ANA).merge_fields == {"POINTS": "", "LASTSEEN": ""}


def test_a_required_field_must_have_a_value_unless_validation_is_skipped(
    client: Client, mailchimp: MailchimpStandIn, refused: Refused
) -> None:
    merge_id = mailchimp.merge_fields()["FNAME"].merge_id
    client.lists.update_list_merge_field(LIST_ID, merge_id, {"required": True})
    assert refused(put, client, ANA)["errors"][0]["field"] == "FNAME"  # type: ignore[index]
    put(client, ANA, skip=True)
    put(client, ANA, merge_fields={"FNAME": "Ana"})


@pytest.mark.parametrize(("text", "kept"), [("x" * 300, 255), ("é" * 200, 254), ("x" * 255, 255)])
def test_a_text_is_cut_at_255_bytes_without_a_word(
    client: Client, mailchimp: MailchimpStandIn, text: str, kept: int
) -> None:
    put(client, ANA, merge_fields={"FNAME": text})
    stored = mailchimp.contact(ANA).merge_fields["FNAME"]
    assert isinstance(stored, str)
    assert len(stored.encode()) == kept
    assert text.startswith(stored)
