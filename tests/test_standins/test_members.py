import pytest
from mailchimp_marketing import Client

from tests.standins.mailchimp import MailchimpStandIn, Settings
from tests.test_standins.builders import LIST_ID, Clock, Refused, md5, patch, put, sdk_client

ANA = "Ana@Shop.test"
BEN = "ben@shop.test"


def fields_of(problem: dict[str, object]) -> set[str]:
    errors = problem["errors"]
    assert isinstance(errors, list)
    return {error["field"] for error in errors}


# Who may ask, and where.


def test_ping_answers_healthy(client: Client) -> None:
    assert set(client.ping.get()) == {"health_status"}


def test_a_wrong_key_is_a_401_problem(mailchimp: MailchimpStandIn, refused: Refused) -> None:
    problem = refused(sdk_client(mailchimp, api_key="0" * 32 + "-us21").ping.get)
    assert (problem["status"], problem["title"]) == (401, "API Key Invalid")
    assert set(problem) == {"type", "title", "status", "detail", "instance"}


def test_an_unknown_list_is_404(client: Client, refused: Refused) -> None:
    assert refused(client.lists.get_list, "ffffffffff")["title"] == "Resource Not Found"


def test_the_list_tells_its_opt_in_and_counts(client: Client) -> None:
    put(client, ANA, status="subscribed")
    put(client, BEN, status="unsubscribed")
    answer = client.lists.get_list(LIST_ID)
    assert (answer["double_optin"], answer["marketing_permissions"]) == (False, False)
    assert answer["stats"] == {"member_count": 1, "unsubscribe_count": 1, "cleaned_count": 0, "merge_field_count": 5}


def test_audiences_know_nothing_of_each_other() -> None:
    with MailchimpStandIn(Settings(list_ids=("1111111111", "2222222222"))) as standin:
        client = sdk_client(standin)
        body = {"email_address": ANA, "status_if_new": "subscribed"}
        client.lists.set_list_member("1111111111", md5(ANA), body)
        assert [one.email_address for one in standin.contacts(list_id="1111111111")] == [ANA]
        assert standin.contacts(list_id="2222222222") == []


# Creating.


def test_put_creates_a_contact_with_status_if_new(client: Client, mailchimp: MailchimpStandIn) -> None:
    answer = put(client, ANA, merge_fields={"FNAME": "Ana", "LNAME": "Núñez"})
    assert (answer["status"], answer["full_name"], answer["id"]) == ("transactional", "Ana Núñez", md5(ANA))
    assert mailchimp.contact(ANA).status == "transactional"


def test_a_member_answer_has_the_documented_fields(client: Client) -> None:
    answer = put(client, ANA)
    documented = {"id", "contact_id", "unique_email_id", "web_id", "email_address", "status", "merge_fields"}
    documented |= {"last_changed", "tags", "tags_count", "source", "marketing_permissions", "list_id", "vip"}
    documented |= {"consents_to_one_to_one_messaging", "timestamp_opt", "ip_signup", "language", "email_type"}
    assert documented <= set(answer)
    assert answer["merge_fields"] == {"FNAME": "", "LNAME": "", "ADDRESS": "", "PHONE": "", "BIRTHDAY": ""}
    assert "unsubscribe_reason" in patch(client, ANA, status="unsubscribed")


@pytest.mark.parametrize("missing", ["email_address", "status_if_new"])
def test_put_needs_address_and_status_if_new(client: Client, refused: Refused, missing: str) -> None:
    body = {"email_address": ANA, "status_if_new": "transactional"}
    del body[missing]
    problem = refused(client.lists.set_list_member, LIST_ID, md5(ANA), body)
    assert (problem["title"], fields_of(problem)) == ("Invalid Resource", {missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "active"},
        {"status": "archived"},
        {"vip": "yes"},
        {"merge_fields": []},
        {"email_type": "pdf"},
        {"ip_signup": "300.1.1.1"},
        {"timestamp_signup": "yesterday"},
        {"email_address": None},
    ],
)
def test_a_wrong_type_is_refused_by_name(client: Client, refused: Refused, wrong: dict[str, object]) -> None:
    problem = refused(put, client, ANA, **wrong)
    assert (problem["title"], fields_of(problem)) == ("Invalid Resource", set(wrong))


@pytest.mark.parametrize("address", ["", "ana", "ana@shop", "a b@shop.test", "@shop.test", "a" * 250 + "@shop.test"])
def test_what_is_not_an_address_is_refused(client: Client, refused: Refused, address: str) -> None:
    problem = refused(
        client.lists.set_list_member, LIST_ID, md5(ANA), {"email_address": address, "status_if_new": "transactional"}
    )
    assert "valid email" in str(problem["detail"])


def test_post_creates_with_tags_and_refuses_a_known_address(
    client: Client, mailchimp: MailchimpStandIn, refused: Refused
) -> None:
    body = {"email_address": ANA, "status": "subscribed", "tags": ["Gold tier"]}
    client.lists.add_list_member(LIST_ID, body)
    assert mailchimp.contact(ANA).tags == ("Gold tier",)
    problem = refused(client.lists.add_list_member, LIST_ID, body | {"email_address": ANA.upper()})
    assert problem["title"] == "Member Exists"


def test_post_needs_a_status(client: Client, refused: Refused) -> None:
    assert fields_of(refused(client.lists.add_list_member, LIST_ID, {"email_address": ANA})) == {"status"}


def test_put_under_a_hash_of_the_wrong_case_is_member_exists(client: Client, refused: Refused) -> None:
    put(client, ANA)
    wrong_hash = "d41d8cd98f00b204e9800998ecf8427e"
    body = {"email_address": ANA, "status_if_new": "transactional"}
    assert refused(client.lists.set_list_member, LIST_ID, wrong_hash, body)["title"] == "Member Exists"


def test_a_contact_is_found_by_hash_address_and_contact_id(client: Client, refused: Refused) -> None:
    contact_id = put(client, ANA)["contact_id"]
    for name in (md5(ANA), ANA.lower(), ANA, contact_id):
        assert client.lists.get_list_member(LIST_ID, name)["email_address"] == ANA
    assert refused(client.lists.get_list_member, LIST_ID, md5(BEN))["status"] == 404


@pytest.mark.parametrize(
    ("refusal", "hint"), [("fake", "looks fake or invalid"), ("too_many_signups", "a lot of lists very recently")]
)
def test_a_refused_address_is_refused_until_taken_again(
    client: Client, mailchimp: MailchimpStandIn, refused: Refused, refusal: str, hint: str
) -> None:
    mailchimp.refuse_address(ANA, refusal)  # type: ignore[arg-type]
    problem = refused(put, client, ANA)
    assert problem["title"] == "Invalid Resource"
    assert hint in str(problem["detail"])
    mailchimp.refuse_address(ANA, None)
    assert put(client, ANA)["email_address"] == ANA


# Status.


def test_status_if_new_never_changes_a_status(client: Client) -> None:
    put(client, ANA, status="unsubscribed")
    assert put(client, ANA, status_if_new="subscribed")["status"] == "unsubscribed"


def test_status_always_changes_it(client: Client) -> None:
    put(client, ANA)
    assert put(client, ANA, status="subscribed")["status"] == "subscribed"


def test_patch_changes_only_what_it_names(client: Client, refused: Refused) -> None:
    put(client, ANA, merge_fields={"FNAME": "Ana"})
    answer = patch(client, ANA, status="subscribed")
    assert (answer["status"], answer["full_name"]) == ("subscribed", "Ana")
    assert refused(patch, client, BEN, status="subscribed")["status"] == 404


def test_the_api_may_subscribe_again_whom_it_unsubscribed_itself(client: Client) -> None:
    put(client, ANA, status="subscribed")
    patch(client, ANA, status="unsubscribed")
    assert patch(client, ANA, status="subscribed")["status"] == "subscribed"


@pytest.mark.parametrize("action", ["unsubscribe", "complain"])
def test_who_opted_out_in_person_cannot_be_subscribed_but_asked(
    client: Client, mailchimp: MailchimpStandIn, refused: Refused, action: str
) -> None:
    put(client, ANA, status="subscribed")
    mailchimp.act(action, ANA)  # type: ignore[arg-type]
    assert refused(patch, client, ANA, status="subscribed")["title"] == "Member In Compliance State"
    assert patch(client, ANA, status="pending")["status"] == "pending"
    assert refused(patch, client, ANA, status="subscribed")["title"] == "Member In Compliance State"
    mailchimp.act("subscribe", ANA)
    assert mailchimp.contact(ANA).status == "subscribed"


def test_data_still_reach_who_opted_out(client: Client, mailchimp: MailchimpStandIn) -> None:
    put(client, ANA, status="subscribed")
    mailchimp.act("unsubscribe", ANA)
    answer = put(client, ANA, merge_fields={"FNAME": "Ana"})
    assert (answer["status"], answer["full_name"]) == ("unsubscribed", "Ana")


def test_a_cleaned_contact_takes_no_edit(client: Client, mailchimp: MailchimpStandIn, refused: Refused) -> None:
    put(client, ANA, status="subscribed")
    mailchimp.act("bounce", ANA)
    assert mailchimp.contact(ANA).status == "cleaned"
    for body in ({"status": "subscribed"}, {"status": "pending"}, {"merge_fields": {"FNAME": "Ana"}}):
        assert refused(put, client, ANA, **body)["title"] == "Member In Compliance State"


def test_pending_sends_one_confirmation_however_often_it_is_repeated(
    client: Client, mailchimp: MailchimpStandIn
) -> None:
    put(client, ANA, status="pending")
    put(client, ANA, status="pending")
    assert mailchimp.contact(ANA).confirmations_sent == 1


# Archiving and deleting.


def test_archiving_hides_the_contact_and_works_once(client: Client, refused: Refused) -> None:
    put(client, ANA, status="subscribed")
    client.lists.delete_list_member(LIST_ID, md5(ANA))
    assert client.lists.get_list_member(LIST_ID, md5(ANA))["status"] == "archived"
    assert refused(client.lists.delete_list_member, LIST_ID, md5(ANA))["status"] == 405


def test_archived_with_status_if_new_stays_archived_but_takes_data(client: Client) -> None:
    put(client, ANA, status="subscribed")
    client.lists.delete_list_member(LIST_ID, md5(ANA))
    answer = put(client, ANA, status_if_new="subscribed", merge_fields={"FNAME": "Ana"})
    assert (answer["status"], answer["full_name"]) == ("archived", "Ana")


def test_archived_with_status_comes_back(client: Client) -> None:
    put(client, ANA, status="subscribed")
    client.lists.delete_list_member(LIST_ID, md5(ANA))
    assert put(client, ANA, status="transactional")["status"] == "transactional"


def test_archiving_hides_even_an_opt_out(client: Client, mailchimp: MailchimpStandIn) -> None:
    put(client, ANA, status="subscribed")
    mailchimp.act("unsubscribe", ANA)
    client.lists.delete_list_member(LIST_ID, md5(ANA))
    assert mailchimp.contact(ANA).opted_out_by_person
    assert put(client, ANA, status="subscribed")["status"] == "subscribed"


@pytest.mark.parametrize("status", ["pending", "cleaned"])
def test_pending_and_cleaned_cannot_be_archived(client: Client, refused: Refused, status: str) -> None:
    put(client, ANA, status=status)
    assert refused(client.lists.delete_list_member, LIST_ID, md5(ANA))["status"] == 405


def test_archiving_an_unknown_contact_is_404(client: Client, refused: Refused) -> None:
    assert refused(client.lists.delete_list_member, LIST_ID, md5(ANA))["status"] == 404


def test_a_deleted_address_comes_back_by_the_person_alone(
    client: Client, mailchimp: MailchimpStandIn, refused: Refused
) -> None:
    put(client, ANA, status="subscribed")
    client.lists.delete_list_member_permanent(LIST_ID, md5(ANA))
    assert mailchimp.find_contact(ANA) is None
    assert refused(client.lists.get_list_member, LIST_ID, md5(ANA))["status"] == 404
    assert refused(client.lists.delete_list_member_permanent, LIST_ID, md5(ANA))["status"] == 404
    assert refused(put, client, ANA)["title"] == "Forgotten Email Not Subscribed"
    mailchimp.act("subscribe", ANA)
    assert put(client, ANA)["status"] == "subscribed"


# Renaming.


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_subscribed_contact_is_renamed_and_keeps_its_history(
    client: Client, mailchimp: MailchimpStandIn, method: str
) -> None:
    before = put(client, ANA, status="subscribed", merge_fields={"FNAME": "Ana"})
    client.lists.update_list_member_tags(LIST_ID, md5(ANA), {"tags": [{"name": "Gold", "status": "active"}]})
    after = patch(client, ANA, email_address=BEN) if method == "PATCH" else put(client, BEN, at=ANA)
    assert (after["id"], after["contact_id"]) == (md5(BEN), before["contact_id"])
    assert mailchimp.find_contact(ANA) is None
    assert mailchimp.contact(BEN).tags == ("Gold",)


@pytest.mark.parametrize("status", ["unsubscribed", "pending", "transactional"])
def test_only_a_subscribed_contact_is_renamed(client: Client, refused: Refused, status: str) -> None:
    put(client, ANA, status=status)
    problem = refused(patch, client, ANA, email_address=BEN)
    assert (problem["title"], fields_of(problem)) == ("Invalid Resource", {"email address"})


def test_an_archived_contact_is_not_renamed(client: Client, refused: Refused) -> None:
    put(client, ANA, status="subscribed")
    client.lists.delete_list_member(LIST_ID, md5(ANA))
    assert fields_of(refused(patch, client, ANA, email_address=BEN)) == {"email address"}


@pytest.mark.parametrize(
    ("status", "word"), [("subscribed", "Subscribed"), ("unsubscribed", "Unsubscribed"), ("archived", "Deleted")]
)
def test_a_contact_is_not_renamed_to_a_known_address(client: Client, refused: Refused, status: str, word: str) -> None:
    put(client, ANA, status="subscribed")
    put(client, BEN, status="subscribed" if status == "archived" else status)
    if status == "archived":
        client.lists.delete_list_member(LIST_ID, md5(BEN))
    problem = refused(patch, client, ANA, email_address=BEN)
    assert fields_of(problem) == {"email address"}
    assert word in str(problem["errors"])
    assert client.lists.get_list_member(LIST_ID, md5(ANA))["email_address"] == ANA


def test_a_change_of_case_is_no_rename(client: Client) -> None:
    put(client, ANA, status="unsubscribed")
    assert patch(client, ANA, email_address=ANA.lower())["email_address"] == ANA.lower()


def test_a_refused_write_has_changed_nothing(client: Client, mailchimp: MailchimpStandIn, refused: Refused) -> None:
    put(client, ANA, status="subscribed")
    before = mailchimp.contacts()
    refused(patch, client, ANA, email_address=BEN, status="unsubscribed", merge_fields={"NOSUCH": "1"})
    assert mailchimp.contacts() == before


# Tags and events.


def test_tags_are_set_and_taken_away(client: Client, mailchimp: MailchimpStandIn) -> None:
    put(client, ANA)
    for name, status in (("Gold tier", "active"), ("Silver tier", "active"), ("Silver tier", "inactive")):
        body = {"tags": [{"name": name, "status": status}], "is_syncing": True}
        client.lists.update_list_member_tags(LIST_ID, md5(ANA), body)
    answer = client.lists.get_list_member_tags(LIST_ID, md5(ANA))
    assert [tag["name"] for tag in answer["tags"]] == ["Gold tier"]
    assert set(answer["tags"][0]) == {"id", "name", "date_added"}
    assert client.lists.get_list_member(LIST_ID, md5(ANA))["tags_count"] == 1


@pytest.mark.parametrize("body", [[{"name": "Gold", "status": "active"}], {"name": "Gold"}, {"tags": "Gold"}])
def test_a_tags_body_of_another_shape_succeeds_and_does_nothing(
    client: Client, mailchimp: MailchimpStandIn, body: object
) -> None:
    put(client, ANA)
    client.lists.update_list_member_tags(LIST_ID, md5(ANA), body)
    assert mailchimp.requests(method="POST")[-1].status == 204
    assert mailchimp.contact(ANA).tags == ()


def test_a_tag_without_status_is_refused(client: Client, refused: Refused) -> None:
    put(client, ANA)
    body = {"tags": [{"name": "Gold"}]}
    assert refused(client.lists.update_list_member_tags, LIST_ID, md5(ANA), body)["status"] == 400


def test_tags_in_put_and_patch_are_passed_over(client: Client, mailchimp: MailchimpStandIn) -> None:
    put(client, ANA, tags=["Gold"])
    put(client, ANA, tags=[{"name": "Gold", "status": "active"}])
    patch(client, ANA, tags=["Gold"])
    assert mailchimp.contact(ANA).tags == ()


def test_an_event_is_kept_with_its_properties(client: Client, mailchimp: MailchimpStandIn) -> None:
    put(client, ANA)
    client.lists.create_list_member_event(
        LIST_ID, md5(ANA), {"name": "points_earned", "properties": {"points": "50"}, "is_syncing": False}
    )
    event = mailchimp.contact(ANA).events[0]
    assert (event.name, event.properties) == ("points_earned", {"points": "50"})
    assert client.lists.get_list_member_events(LIST_ID, md5(ANA))["total_items"] == 1


@pytest.mark.parametrize("body", [{"name": "p"}, {"name": "p" * 31}, {"name": "points", "properties": {"points": 50}}])
def test_an_event_out_of_shape_is_refused(client: Client, refused: Refused, body: dict[str, object]) -> None:
    put(client, ANA)
    assert refused(client.lists.create_list_member_event, LIST_ID, md5(ANA), body)["status"] == 400


# Listing.


def test_a_listing_has_ten_members_unless_told_otherwise(client: Client, refused: Refused) -> None:
    addresses = [f"m{number:02}@shop.test" for number in range(12)]
    for address in addresses:
        put(client, address)
    answer = client.lists.get_list_members_info(LIST_ID)
    assert (len(answer["members"]), answer["total_items"]) == (10, 12)
    rest = client.lists.get_list_members_info(LIST_ID, count=1000, offset=10)
    assert [one["email_address"] for one in rest["members"]] == addresses[10:]


def test_a_listing_leaves_out_the_archived_unless_asked_for(client: Client) -> None:
    put(client, ANA)
    put(client, BEN, status="subscribed")
    client.lists.delete_list_member(LIST_ID, md5(ANA))

    def listed(**query: object) -> list[str]:
        answer = client.lists.get_list_members_info(LIST_ID, **query)
        return [one["email_address"] for one in answer["members"]]

    assert (listed(), listed(status="archived"), listed(status="unsubscribed")) == ([BEN], [ANA], [])


def test_a_listing_holds_what_changed_within_a_window(client: Client, clock: Clock) -> None:
    for address in ("a@shop.test", "b@shop.test", "c@shop.test"):
        put(client, address)
        clock.advance(seconds=60)
    answer = client.lists.get_list_members_info(
        LIST_ID,
        since_last_changed="2026-11-20T09:00:00+00:00",
        before_last_changed="2026-11-20T09:02:00+00:00",
    )
    assert [one["email_address"] for one in answer["members"]] == ["b@shop.test"]


def test_a_write_that_changes_nothing_is_no_change(client: Client, clock: Clock) -> None:
    put(client, ANA, merge_fields={"FNAME": "Ana"})
    clock.advance(seconds=60)
    put(client, ANA, merge_fields={"FNAME": "Ana"})
    answer = client.lists.get_list_members_info(LIST_ID, since_last_changed="2026-11-20T09:00:00Z")
    assert answer["total_items"] == 0


def test_a_listing_is_sorted_as_asked(client: Client, clock: Clock) -> None:
    for address in (ANA, BEN):
        put(client, address)
        clock.advance(seconds=1)
    answer = client.lists.get_list_members_info(LIST_ID, sort_field="last_changed", sort_dir="DESC")
    assert [one["email_address"] for one in answer["members"]] == [BEN, ANA]


def test_a_listing_of_the_unsubscribed_since(client: Client, clock: Clock, refused: Refused) -> None:
    put(client, ANA, status="unsubscribed")
    clock.advance(seconds=60)
    put(client, BEN, status="unsubscribed")
    since = "2026-11-20T09:00:30Z"
    answer = client.lists.get_list_members_info(LIST_ID, status="unsubscribed", unsubscribed_since=since)
    assert [one["email_address"] for one in answer["members"]] == [BEN]
    assert refused(client.lists.get_list_members_info, LIST_ID, unsubscribed_since=since)["status"] == 400


@pytest.mark.parametrize("query", [{"since_last_changed": "yesterday"}, {"sort_field": "email"}, {"offset": "-1"}])
def test_a_listing_refuses_what_it_cannot_read(client: Client, refused: Refused, query: dict[str, object]) -> None:
    assert refused(client.lists.get_list_members_info, LIST_ID, **query)["status"] == 400


def test_fields_and_exclude_fields_cut_the_answer(client: Client) -> None:
    put(client, ANA, merge_fields={"FNAME": "Ana"})
    answer = client.lists.get_list_members_info(
        LIST_ID, fields=["members.email_address", "members.merge_fields.FNAME", "total_items"]
    )
    assert answer == {"members": [{"email_address": ANA, "merge_fields": {"FNAME": "Ana"}}], "total_items": 1}
    answer = client.lists.get_list_member(LIST_ID, md5(ANA), fields=["merge_fields", "status"])
    assert (set(answer), answer["merge_fields"]["FNAME"]) == ({"merge_fields", "status"}, "Ana")
    answer = client.lists.get_list_member(LIST_ID, md5(ANA), exclude_fields=["merge_fields.FNAME", "tags"])
    assert "FNAME" not in answer["merge_fields"]
    assert "tags" not in answer
