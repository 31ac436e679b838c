import pytest
from mailchimp_marketing import Client

from tests.standins.mailchimp import MailchimpStandIn
from tests.test_standins.builders import LIST_ID, Document, Refused, bulk, md5, patch, put

ANA, BEN, CAT = "ana@shop.test", "ben@shop.test", "cat@shop.test"


def one(address: str, **body: object) -> Document:
    return {"email_address": address, "status_if_new": "transactional", **body}


def addresses(answer: Document, key: str) -> list[str]:
    entries = answer[key]
    assert isinstance(entries, list)
    return [entry["email_address"] for entry in entries]


def test_each_address_is_settled_by_itself(client: Client, mailchimp: MailchimpStandIn) -> None:
    put(client, ANA)
    answer = bulk(
        client,
        one(ANA, merge_fields={"FNAME": "Ana"}),
        one(BEN),
        one("no address"),
        one(CAT, merge_fields={"BIRTHDAY": "May"}),
    )
    assert (addresses(answer, "updated_members"), addresses(answer, "new_members")) == ([ANA], [BEN])
    assert addresses(answer, "errors") == ["no address", CAT]
    assert (answer["total_created"], answer["total_updated"], answer["error_count"]) == (1, 1, 2)
    assert mailchimp.find_contact(CAT) is None


def test_an_error_names_code_and_field(client: Client) -> None:
    answer = bulk(client, one(CAT, merge_fields={"BIRTHDAY": "May"}))
    error = answer["errors"][0]  # type: ignore[index]
    assert set(error) == {"email_address", "error", "error_code", "field", "field_message"}
    assert (error["error_code"], error["field"]) == ("ERROR_GENERIC", "BIRTHDAY")


def test_a_known_address_is_an_error_without_update_existing(client: Client, mailchimp: MailchimpStandIn) -> None:
    put(client, ANA)
    answer = bulk(client, one(ANA, merge_fields={"FNAME": "Ana"}), update_existing=False)
    assert answer["errors"][0]["error_code"] == "ERROR_CONTACT_EXISTS"  # type: ignore[index]
    assert mailchimp.contact(ANA).merge_fields == {}


def test_five_hundred_members_are_taken_and_one_more_refuses_the_call(
    client: Client, mailchimp: MailchimpStandIn, refused: Refused
) -> None:
    members = [one(f"m{number}@shop.test") for number in range(501)]
    assert refused(bulk, client, *members)["status"] == 400
    assert mailchimp.contacts() == []
    assert bulk(client, *members[:500])["total_created"] == 500


def test_a_breach_of_the_schema_refuses_the_whole_call(
    client: Client, mailchimp: MailchimpStandIn, refused: Refused
) -> None:
    problem = refused(bulk, client, one(ANA), one(BEN, merge_fields={"FNAME": None}))
    assert problem["errors"][0]["field"] == "members.1.merge_fields.FNAME"  # type: ignore[index]
    assert mailchimp.contacts() == []


def test_an_item_needs_a_status_if_it_is_new(client: Client) -> None:
    assert bulk(client, {"email_address": ANA})["error_count"] == 1


def test_an_address_twice_is_an_error_unless_the_check_is_skipped(client: Client) -> None:
    answer = bulk(client, one(ANA), one(ANA.upper()))
    assert (answer["total_created"], addresses(answer, "errors")) == (1, [ANA.upper()])
    answer = bulk(client, one(BEN), one(BEN), skip_duplicate_check="true")
    assert (answer["total_created"], answer["error_count"]) == (1, 0)


def test_status_if_new_leaves_status_and_archive_alone(client: Client, mailchimp: MailchimpStandIn) -> None:
    put(client, ANA, status="unsubscribed")
    put(client, BEN)
    client.lists.delete_list_member(LIST_ID, md5(BEN))
    bulk(client, one(ANA, status_if_new="subscribed"), one(BEN, merge_fields={"FNAME": "Ben"}))
    assert mailchimp.contact(ANA).status == "unsubscribed"
    assert (mailchimp.contact(BEN).status, mailchimp.contact(BEN).merge_fields) == ("archived", {"FNAME": "Ben"})


def test_subscribing_again_whom_the_api_unsubscribed_is_passed_over_in_silence(
    client: Client, mailchimp: MailchimpStandIn
) -> None:
    put(client, ANA, status="subscribed")
    patch(client, ANA, status="unsubscribed")
    answer = bulk(client, one(ANA, status="subscribed"))
    assert (answer["total_created"], answer["total_updated"], answer["error_count"]) == (0, 0, 0)
    assert mailchimp.contact(ANA).status == "unsubscribed"


def test_opted_out_forgotten_and_cleaned_are_errors(client: Client, mailchimp: MailchimpStandIn) -> None:
    for address in (ANA, BEN, CAT):
        put(client, address, status="subscribed")
    mailchimp.act("unsubscribe", ANA)
    client.lists.delete_list_member_permanent(LIST_ID, md5(BEN))
    mailchimp.act("bounce", CAT)
    answer = bulk(client, one(ANA, status="subscribed"), one(BEN), one(CAT))
    assert addresses(answer, "errors") == [ANA, BEN, CAT]


@pytest.mark.parametrize(("sync", "left"), [(False, ("Staff pick", "Gold")), (True, ("Gold",))])
def test_bulk_tags_add_and_sync_tags_removes_the_others(
    client: Client, mailchimp: MailchimpStandIn, sync: bool, left: tuple[str, ...]
) -> None:
    bulk(client, one(ANA, tags=["Staff pick"]))
    bulk(client, one(ANA, tags=["Gold"]), sync_tags=sync)
    assert mailchimp.contact(ANA).tags == left


def test_skipping_validation_takes_any_text(client: Client, mailchimp: MailchimpStandIn) -> None:
    bulk(client, one(ANA, merge_fields={"BIRTHDAY": "May"}), skip_merge_validation=True)
    assert mailchimp.contact(ANA).merge_fields == {"BIRTHDAY": "May"}
