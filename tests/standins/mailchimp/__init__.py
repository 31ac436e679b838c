"""A strict, stateful stand-in for Mailchimp's Marketing API 3.0, on loopback.

    with MailchimpStandIn() as mailchimp:
        client.api_client.host = mailchimp.api_url
        ...
        assert mailchimp.contact("ana@shop.test").merge_fields["POINTS"] == 120

As a program: `scripts/mailchimp-standin --port 8701 --state FILE`; its contacts are then a page at `/_control/contacts`.
What is refused, and where the real service is not documented, is said at the top of members.py, fields.py, bulk.py,
answers.py and webhooks.py.
"""

from tests.standins.mailchimp.client import MailchimpControl, MailchimpStandIn, NotInTime, StandInRefused
from tests.standins.mailchimp.control import ContactView
from tests.standins.mailchimp.service import LoggedRequest, Settings
from tests.standins.mailchimp.state import StateFileBroken
from tests.standins.mailchimp.webhooks import Delivery

__all__ = [
    "ContactView",
    "Delivery",
    "LoggedRequest",
    "MailchimpControl",
    "MailchimpStandIn",
    "NotInTime",
    "Settings",
    "StandInRefused",
    "StateFileBroken",
]
