"""HTTP of messages: the mail provider's reports."""

from server.http import Call, operation
from server.messages import bounces
from shared.mail import MailEvents


@operation("mail_hook")
async def mail_hook(call: Call) -> None:
    """Take the mail provider's report of bounces and deliveries; the signature is the credential.

    An address that mail does not reach is flagged wherever staff meet the customer, until it is proven anew or a later mail
    arrives. The answer is the same whether anybody has the address or not.
    """
    signature = call.request.headers.get("regulars-signature", "")
    await bounces.take_events(call.ctx, call.message(MailEvents), body=call.raw_body, signature=signature)
