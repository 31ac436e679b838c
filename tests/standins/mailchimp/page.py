"""The page that shows a person what Mailchimp would now hold: plain HTML, every value escaped, no script."""

from html import escape
from http import HTTPStatus

from tests.standins.mailchimp.service import HttpAnswer
from tests.standins.mailchimp.state import Audience, Contact

ROWS_MAX = 500
REFRESH_S = 5
HEADINGS = ("Address", "Status", "Name", "Points", "Card", "Rewards Last Seen", "Tags", "Last changed (UTC)")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1b1b1b; background: #fdfdfb }
table { border-collapse: collapse; width: 100% } caption { text-align: left; padding-bottom: .5rem; color: #555 }
th, td { text-align: left; padding: .35rem .8rem; border-bottom: 1px solid #ddd; vertical-align: top }
.number { text-align: right; font-variant-numeric: tabular-nums } .archived td, .unsubscribed td, .cleaned td { color: #888 }
"""


def contacts_page(audience: Audience) -> HttpAnswer:
    """Render the contacts, the last changed first. The page renews itself every few seconds."""
    newest = sorted(audience.contacts.values(), key=lambda contact: contact.last_changed, reverse=True)
    headings = "".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
    caption = f"{len(newest)} contacts in the audience {escape(audience.list_id)}"
    if len(newest) > ROWS_MAX:
        caption += f"; the {ROWS_MAX} changed last are shown"
    rows = "\n".join(_row(contact) for contact in newest[:ROWS_MAX])
    body = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Mailchimp stand-in: contacts</title>
<meta http-equiv="refresh" content="{REFRESH_S}"><style>{STYLE}</style></head>
<body><h1>Mailchimp stand-in</h1>
<table><caption>{caption}</caption><thead><tr>{headings}</tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""
    # A lone surrogate can come in through JSON; it has no UTF-8 form.
    return HttpAnswer(status=HTTPStatus.OK, content_type="text/html; charset=utf-8", body=body.encode(errors="replace"))


def _row(contact: Contact) -> str:
    values = contact.merge_fields
    cells = (
        contact.email_address,
        contact.shown_status,
        f"{values.get('FNAME', '')} {values.get('LNAME', '')}",
        values.get("POINTS", ""),
        values.get("CARDNO", ""),
        values.get("LASTSEEN", ""),
        ", ".join(contact.tags),
        contact.last_changed,
    )
    classes = {3: ' class="number"'}
    columns = "".join(f"<td{classes.get(index, '')}>{escape(str(cell))}</td>" for index, cell in enumerate(cells))
    return f'<tr class="{contact.shown_status}">{columns}</tr>'
