"""The pages behind mailed links. Opening one changes nothing; its button sends the token by POST."""

from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from server.errors import NotFound
from server.sessions.links import Purpose
from server.settings import Settings
from shared.endpoints import BY_OPERATION

_FOLDER = Path(__file__).parent / "pages"
_TEMPLATES = Environment(loader=FileSystemLoader(_FOLDER), undefined=StrictUndefined, autoescape=True)
_FILES = {
    "links.css": ("text/css", (_FOLDER / "links.css").read_bytes()),
    "links.js": ("text/javascript", (_FOLDER / "links.js").read_bytes()),
}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The words of a page, and the operation its button calls."""

    title: str
    lead: str
    button: str
    operation: str
    done: str
    field: str = ""
    needs_token: bool = True
    token_name: str = "token"  # noqa: S105 - the name of a field
    may_type_token: bool = False

    @property
    def action(self) -> str:
        return BY_OPERATION[self.operation].path


_CHOOSE_PASSWORD = Page(
    title="Choose a password",
    lead="Choose a password that only you know. A few uncommon words are easiest to remember.",
    button="Save the password",
    operation="confirm_password_reset",
    done="Your password is saved. You can sign in now.",
    field="password",
)
_PAGES: dict[str, Page] = {
    Purpose.SIGN_UP: Page(
        title="Confirm your email address",
        lead="Press the button to open your account. If you did not sign up yourself, close this page.",
        button="Confirm my address",
        operation="confirm_sign_up",
        done="Welcome! Your address is confirmed. You can sign in now.",
    ),
    Purpose.PASSWORD_RESET: _CHOOSE_PASSWORD,
    Purpose.INVITATION: _CHOOSE_PASSWORD,
    Purpose.EMAIL_CHANGE: Page(
        title="Confirm your new email address",
        lead="Press the button to use this address for your account from now on.",
        button="Use this address",
        operation="confirm_email_change",
        done="Your new address is in use. Sign in with it from now on.",
    ),
    Purpose.NOT_ME: Page(
        title="Stop the email change",
        lead="If you did not ask for another email address, press the button: a change that is still to come is stopped, one "
        "that has happened is taken back with card and points, and every device is signed out.",
        button="This was not me",
        operation="cancel_email_change",
        done="Your old address is the one in use. Sign in with it, and choose a new password.",
    ),
    Purpose.MERGE_NOT_ME: Page(
        title="Is the other account not yours?",
        lead="The shop has made two rewards accounts one. If one of them is not yours, press the button: no points can be "
        "spent for 7 days, and the shop looks at it.",
        button="The other account is not mine",
        operation="dispute_merge",
        done="Thank you. No points can be spent now, and the shop looks at it.",
    ),
    Purpose.LINK_NOT_ME: Page(
        title="Are these purchases not yours?",
        lead="A customer record of the shop's tills was connected with a rewards account. If that is not right, press the button: "
        "the connection ends, no points of that account can be spent for 7 days, and the shop looks at it.",
        button="This was not me",
        operation="dispute_link",
        done="Thank you. The connection is over, and the shop looks at it.",
    ),
    Purpose.EXPORT: Page(
        title="A copy of your data",
        lead="Press the button to save everything that the shop holds about you, as one file. Keep it where nobody else can "
        "read it.",
        button="Save my data",
        operation="download_export",
        done="The file is saved with your downloads.",
    ),
    Purpose.ERASURE_CANCEL: Page(
        title="Keep your account",
        lead="You have asked the shop to forget you. Press the button to take that back: card, points and history stay.",
        button="Keep my account",
        operation="cancel_erasure_by_link",
        done="Your account stays as it is.",
    ),
    Purpose.STAFF_INVITATION: msgspec.structs.replace(
        _CHOOSE_PASSWORD,
        operation="accept_staff_invitation",
        done="Your password is saved. You can sign in at the console now.",
    ),
    "claim": Page(
        title="Your points are waiting for you",
        lead="Choose a password, and we send you a mail to confirm your address: then everything is in your account. If you "
        "have an account already, sign in to the app and enter the code there.",
        button="Open my account",
        operation="sign_up",
        done="Look into your inbox: we have sent you a mail that says how to go on.",
        field="account",
        token_name="claim_code",  # noqa: S106 - the name of a field
        may_type_token=True,
    ),
    "forgotten-password": Page(
        title="Forgot your password?",
        lead="Enter the email address of your account, and we send you a link to choose a new one.",
        button="Send me a link",
        operation="request_password_reset",
        done="Look into your inbox. If the address has an account, a link is on its way.",
        field="email",
        needs_token=False,
    ),
}


def render_page(settings: Settings, purpose: str) -> bytes:
    """Return the page of a purpose as HTML.

    Raises:
        NotFound: There is no such page.
    """
    page = _PAGES.get(purpose)
    if page is None:
        raise NotFound
    html = _TEMPLATES.get_template("link.html").render(
        page=page, shop_name=settings.shop_name, password_length_min=settings.password_length_min
    )
    return html.encode()


def read_file(name: str) -> tuple[str, bytes]:
    """Return media type and content of a file that pages load.

    Raises:
        NotFound: There is no such file.
    """
    if name not in _FILES:
        raise NotFound
    return _FILES[name]
