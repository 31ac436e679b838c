"""Everything staff can do, once: keys, key bar, palette and help are all made from this list."""

from dataclasses import dataclass

from shared.enums import Permission

_P = Permission

# Dataclasses, as this module is imported before the first paint and msgspec is not needed there yet.


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do.

    `pages` are the pages it belongs to, none meaning everywhere; any one permission of `needs` is enough; `label` is
    its word in the key bar (none: not shown there); `sentence` stands in the palette and in the help.
    """

    id: str
    sentence: str
    keys: tuple[str, ...] = ()
    label: str = ""
    pages: tuple[str, ...] = ()
    needs: tuple[Permission, ...] = ()
    in_palette: bool = True
    is_priority: bool = False


_LISTS = (
    "customer",
    "audience",
    "audit",
    "programmes",
    "programme",
    "rewards",
    "reports",
    "orders",
    "queue",
    "links",
    "tills",
    "claims",
    "claim-issued",
    "claim-batches",
    "privacy",
    "help",
    "duplicates",
)
_FORMS = (
    "register",
    "edit",
    "email",
    "undo",
    "rules",
    "rules-text",
    "trial",
    "settings",
    "new-programme",
    "closing",
    "reward",
    "terms",
    "period",
    "export",
    "adjust",
    "assign",
    "record",
    "take",
    "reason",
    "returned",
    "share",
    "leave",
    "take-back",
    "merge",
    "link",
    "unlink",
    "claim-lookup",
    "claim-batch",
    "claim-file",
    "spending",
    "copy",
    "erase",
)

ACTIONS: tuple[Action, ...] = (
    # Where staff are.
    Action(id="find.open", keys=("enter",), label="Open", sentence="Open the customer under the cursor", pages=("find",), needs=(_P.CUSTOMER_READ,), in_palette=False),
    Action(id="customer.detail", keys=("enter",), label="Details", sentence="Show why: the lines, dates and reasons of this row", pages=("customer",), in_palette=False),
    Action(id="customer.points", keys=("p",), label="Points", sentence="Give or take points by hand", pages=("customer",), needs=(_P.POINTS_ADJUST,)),
    Action(id="customer.order", keys=("o",), label="Sale", sentence="Write down a sale of this customer that no till sends", pages=("customer",), needs=(_P.ORDER_RECORD,)),
    Action(id="customer.attach", keys=("a",), label="Attach", sentence="Give this customer a sale by its receipt", pages=("customer",), needs=(_P.ORDER_ASSIGN,)),
    Action(id="customer.give", keys=("g",), label="Give", sentence="Give the sale under the cursor to another customer", pages=("customer",), needs=(_P.ORDER_ASSIGN,)),
    Action(id="customer.detach", keys=("d",), label="Detach", sentence="Take the sale under the cursor away from this customer", pages=("customer",), needs=(_P.ORDER_ASSIGN,)),
    Action(id="customer.reward", keys=("w",), label="Reward", sentence="Take a reward for this customer's points", pages=("customer",), needs=(_P.POINTS_REDEEM,)),
    Action(id="customer.cancel_voucher", keys=("W",), label="Cancel voucher", sentence="Cancel the voucher under the cursor and give its points back", pages=("customer",), needs=(_P.REWARD_MANAGE,)),
    Action(id="customer.email", keys=("E",), label="Email", sentence="Change or correct the customer's email address", pages=("customer",), needs=(_P.EMAIL_CHANGE, _P.EMAIL_CORRECT)),
    Action(id="customer.undo", keys=("u",), label="Undo", sentence="Take back what was done last", pages=("customer",), needs=(_P.POINTS_ADJUST, _P.EMAIL_CHANGE, _P.MEMBERSHIP_SHARE, _P.CUSTOMER_MERGE)),
    Action(id="customer.link", keys=("l",), label="Link POS", sentence="Link a POS record to this customer, so that its sales count", pages=("customer",), needs=(_P.LINK_MAKE,)),
    Action(id="customer.links", keys=("L",), label="Why missing", sentence="See why purchases are missing, and which POS records are linked", pages=("customer",), needs=(_P.CUSTOMER_READ,)),
    Action(id="customer.claims", keys=("C",), label="Claim code", sentence="Claim codes, with which the customer takes these points into the app", pages=("customer",), needs=(_P.CUSTOMER_READ,)),
    Action(id="customer.privacy", keys=("P",), label="Privacy", sentence="Make a copy of everything held about the customer, or let them be forgotten", pages=("customer",), needs=(_P.CUSTOMER_EXPORT, _P.ERASURE_READ)),
    Action(id="customer.edit", keys=("e",), label="Edit", sentence="Change name, birthday, postal address or notes", pages=("customer",), needs=(_P.CUSTOMER_EDIT,)),
    Action(id="customer.invite", keys=("i",), label="Invite", sentence="Mail the customer a link to choose a password", pages=("customer",), needs=(_P.CUSTOMER_INVITE,)),
    Action(id="customer.share", keys=("s",), label="Share", sentence="Share points with another customer, or combine both memberships", pages=("customer",), needs=(_P.MEMBERSHIP_SHARE,)),
    Action(id="customer.join", keys=("j",), label="Join", sentence="Let this customer join another customer's membership", pages=("customer",), needs=(_P.MEMBERSHIP_SHARE,)),
    Action(id="customer.leave", keys=("v",), label="Leave", sentence="Let this customer leave the shared membership", pages=("customer",), needs=(_P.MEMBERSHIP_SHARE,)),
    Action(id="customer.spending", keys=("S",), label="Who spends", sentence="Say who may spend the common points of this shared membership", pages=("customer",), needs=(_P.MEMBERSHIP_SHARE,)),
    Action(id="customer.merge", keys=("m",), label="Merge", sentence="Merge this customer with another one who is the same person", pages=("customer",), needs=(_P.CUSTOMER_MERGE,)),
    Action(id="customer.tab1", keys=("1",), sentence="Show the customer's points, movement by movement", pages=("customer",)),
    Action(id="customer.tab2", keys=("2",), sentence="Show the customer's orders and what they earned", pages=("customer",)),
    Action(id="customer.tab3", keys=("3",), sentence="Show the customer's cards", pages=("customer",)),
    Action(id="customer.tab4", keys=("4",), sentence="Show tier, what lapses when, and vouchers", pages=("customer",), needs=(_P.CUSTOMER_READ,)),
    Action(id="customer.tab5", keys=("5",), sentence="Show the customer's consents", pages=("customer",)),
    Action(id="customer.tab6", keys=("6",), sentence="Show the customer's addresses and notes", pages=("customer",)),
    Action(id="customer.tab7", keys=("7",), sentence="Show who changed what on this customer", pages=("customer",), needs=(_P.CUSTOMER_READ,)),
    Action(id="customer.tab_next", keys=("right", "right_square_bracket"), sentence="Go to the next tab", pages=("customer",), in_palette=False),
    Action(id="customer.tab_back", keys=("left", "left_square_bracket"), sentence="Go to the tab before", pages=("customer",), in_palette=False),
    Action(id="form.hint", keys=("f9",), sentence="Take the address that is suggested", pages=("register", "email")),
    Action(id="form.commit", keys=("ctrl+s",), label="Save", sentence="Save what is in this form", pages=_FORMS),
    Action(id="merge.swap", keys=("x",), label="Swap", sentence="Swap who is kept and who is folded in", pages=("merge",)),
    Action(id="merge.right", keys=("right",), label="Choose", sentence="Let the value of the one that is folded in stay", pages=("merge",)),
    Action(id="merge.left", keys=("left",), sentence="Let the value of the one that is kept stay", pages=("merge",)),
    Action(id="find.mark", keys=("space",), label="Mark", sentence="Mark the customer under the cursor for a merge; the first one marked is kept", pages=("find",), needs=(_P.CUSTOMER_MERGE,)),
    Action(id="find.merge", keys=("m",), label="Merge", sentence="Merge the two customers that are marked", pages=("find",), needs=(_P.CUSTOMER_MERGE,)),
    Action(id="duplicates.merge", keys=("enter", "m"), label="Merge…", sentence="See the two customers under the cursor side by side, and merge them", pages=("duplicates",), needs=(_P.CUSTOMER_MERGE,)),
    Action(id="duplicates.dismiss", keys=("i",), label="Not the same", sentence="Say that these two are two people, or look at them again", pages=("duplicates",), needs=(_P.CUSTOMER_MERGE,)),
    Action(id="duplicates.approve", keys=("a",), label="Approve", sentence="Approve the merge under the cursor", pages=("duplicates",), needs=(_P.MERGE_APPROVE,)),
    Action(id="duplicates.refuse", keys=("r",), label="Refuse", sentence="Refuse the merge under the cursor", pages=("duplicates",), needs=(_P.MERGE_APPROVE,)),
    Action(id="duplicates.undo", keys=("u",), label="Take back", sentence="Take the merge under the cursor back", pages=("duplicates",), needs=(_P.CUSTOMER_MERGE,)),
    Action(id="duplicates.customer", keys=("o",), label="Open", sentence="Open the customer who is kept", pages=("duplicates",), needs=(_P.CUSTOMER_READ,)),
    Action(id="duplicates.tab1", keys=("1",), sentence="Show customers who may be one person", pages=("duplicates",), needs=(_P.MERGE_READ,)),
    Action(id="duplicates.tab2", keys=("2",), sentence="Show pairs that are not the same person", pages=("duplicates",), needs=(_P.MERGE_READ,)),
    Action(id="duplicates.tab3", keys=("3",), sentence="Show the merges that wait for a second person", pages=("duplicates",), needs=(_P.MERGE_READ,)),
    Action(id="duplicates.tab4", keys=("4",), sentence="Show all merges, newest first", pages=("duplicates",), needs=(_P.MERGE_READ,)),
    Action(id="duplicates.tab_next", keys=("right", "right_square_bracket"), sentence="Go to the next list", pages=("duplicates",), in_palette=False),
    Action(id="duplicates.tab_back", keys=("left", "left_square_bracket"), sentence="Go to the list before", pages=("duplicates",), in_palette=False),
    Action(id="audience.open", keys=("enter",), label="Customer", sentence="Open the customer of this row", pages=("audience",), needs=(_P.CUSTOMER_READ,), in_palette=False),
    Action(id="audience.retry", keys=("r",), label="Retry", sentence="Send this contact to Mailchimp again", pages=("audience",), needs=(_P.AUDIENCE_REPAIR,)),
    Action(id="audience.tills", keys=("t",), label="Tills", sentence="See the exchange with till systems", pages=("audience",), needs=(_P.CUSTOMER_READ, _P.CYCLE_READ), in_palette=False),
    Action(id="audience.resume", keys=("R",), label="Resume", sentence="Let the paused Mailchimp queue go on", pages=("audience",), needs=(_P.AUDIENCE_REPAIR,)),
    Action(id="audit.detail", keys=("enter",), label="Details", sentence="Show the details of this entry", pages=("audit",), in_palette=False),
    Action(id="programmes.open", keys=("enter",), label="Open", sentence="Open this programme: rules, versions and settings", pages=("programmes",)),
    Action(id="programmes.new", keys=("n",), label="New programme", sentence="Start a further programme, with the rules of the one under the cursor", pages=("programmes",), needs=(_P.PROGRAMME_EDIT,)),
    Action(id="programmes.rewards", keys=("w",), label="Rewards", sentence="See what points buy", pages=("programmes",), in_palette=False),
    Action(id="programme.rules", keys=("e",), label="New rules", sentence="Write new rules, starting from those in force", pages=("programme",), needs=(_P.PROGRAMME_EDIT,)),
    Action(id="programme.restore", keys=("b",), label="Bring back", sentence="Bring the version under the cursor back as a new one", pages=("programme",), needs=(_P.PROGRAMME_EDIT,)),
    Action(id="programme.settings", keys=("s",), label="Settings", sentence="Change the programme's settings: name, windows, limits, what is taken back", pages=("programme",), needs=(_P.PROGRAMME_EDIT,)),
    Action(id="programme.close", keys=("x",), label="Close", sentence="Close the programme, or open it again", pages=("programme",), needs=(_P.PROGRAMME_EDIT,)),
    Action(id="programme.detail", keys=("enter",), label="Details", sentence="Show what this version changed", pages=("programme",), in_palette=False),
    Action(id="programme.tab1", keys=("1",), sentence="Show the rules in force", pages=("programme",)),
    Action(id="programme.tab2", keys=("2",), sentence="Show all versions of the rules and what they changed", pages=("programme",)),
    Action(id="programme.tab3", keys=("3",), sentence="Show the programme's settings", pages=("programme",)),
    Action(id="programme.tab_next", keys=("right", "right_square_bracket"), sentence="Go to the next tab", pages=("programme",), in_palette=False),
    Action(id="programme.tab_back", keys=("left", "left_square_bracket"), sentence="Go to the tab before", pages=("programme",), in_palette=False),
    Action(id="rules.text", keys=("ctrl+y",), label="As text", sentence="Edit all rules as text, promotions too", pages=("rules",)),
    Action(id="rewards.open", keys=("enter",), label="Change", sentence="Change the reward under the cursor", pages=("rewards",), needs=(_P.REWARD_MANAGE,)),
    Action(id="rewards.new", keys=("n",), label="New reward", sentence="Add a reward to the catalogue", pages=("rewards",), needs=(_P.REWARD_MANAGE,)),
    Action(id="rewards.retire", keys=("x",), label="Retire", sentence="Retire the reward under the cursor, or bring it back", pages=("rewards",), needs=(_P.REWARD_MANAGE,)),
    Action(id="rewards.terms", keys=("t",), label="Terms", sentence="Change what points are worth at the till", pages=("rewards",), needs=(_P.REWARD_MANAGE,)),
    Action(id="reports.period", keys=("p",), label="Period", sentence="Choose the days that the report is about", pages=("reports",)),
    Action(id="reports.view", keys=("v",), label="View", sentence="Show chart and table, the table alone, or the chart alone", pages=("reports",)),
    Action(id="reports.export", keys=("x",), label="Export", sentence="Write the report to a file that a spreadsheet opens", pages=("reports",)),
    Action(id="reports.tab1", keys=("1",), sentence="Report: what can still be spent, by month of lapsing", pages=("reports",)),
    Action(id="reports.tab2", keys=("2",), sentence="Report: what became of points, by month of earning", pages=("reports",)),
    Action(id="reports.tab3", keys=("3",), sentence="Report: points issued and redeemed, by store and rules", pages=("reports",)),
    Action(id="reports.tab4", keys=("4",), sentence="Report: sales given to customers after the event, by staff member", pages=("reports",)),
    Action(id="reports.tab5", keys=("5",), sentence="Report: points given and taken by hand, by staff member", pages=("reports",)),
    Action(id="reports.tab6", keys=("6",), sentence="Report: patterns by which shops have lost points", pages=("reports",)),
    Action(id="reports.tab_next", keys=("right", "right_square_bracket"), sentence="Go to the next report", pages=("reports",), in_palette=False),
    Action(id="reports.tab_back", keys=("left", "left_square_bracket"), sentence="Go to the report before", pages=("reports",), in_palette=False),
    Action(id="orders.detail", keys=("enter",), label="Lines", sentence="Show the lines of this sale and what each earned", pages=("orders",), in_palette=False),
    Action(id="orders.choose", keys=("c",), label="Customer", sentence="Say whose sale this is", pages=("orders",), needs=(_P.ORDER_ASSIGN,)),
    Action(id="orders.detach", keys=("d",), label="Detach", sentence="Take this sale away from its customer", pages=("orders",), needs=(_P.ORDER_ASSIGN,)),
    Action(id="orders.record", keys=("n",), label="New sale", sentence="Write down a sale that no till sends", pages=("orders",), needs=(_P.ORDER_RECORD,)),
    Action(id="orders.look", keys=("slash",), label="Receipt", sentence="Type a receipt number or a day", pages=("orders",)),
    Action(id="orders.customer", keys=("o",), label="Open", sentence="Open the customer of this sale", pages=("orders",), needs=(_P.CUSTOMER_READ,)),
    Action(id="orders.code", keys=("k",), label="Claim code", sentence="Make a claim code for a sale to nobody, to print on its receipt", pages=("orders",), needs=(_P.CLAIM_ISSUE,)),
    Action(id="orders.day_back", keys=("left", "left_square_bracket"), label="Day back", sentence="Show the sales of the day before", pages=("orders",)),
    Action(id="orders.day_next", keys=("right", "right_square_bracket"), sentence="Show the sales of the next day", pages=("orders",)),
    Action(id="queue.detail", keys=("enter",), label="Details", sentence="Show what this row is about", pages=("queue",), in_palette=False),
    Action(id="queue.approve", keys=("a",), label="Approve", sentence="Approve the adjustment under the cursor", pages=("queue",), needs=(_P.POINTS_APPROVE,)),
    Action(id="queue.refuse", keys=("r",), label="Refuse", sentence="Refuse the adjustment under the cursor", pages=("queue",), needs=(_P.POINTS_APPROVE,)),
    Action(id="queue.undo", keys=("u",), label="Take back", sentence="Take the adjustment under the cursor back", pages=("queue",), needs=(_P.POINTS_ADJUST,)),
    Action(id="queue.attach", keys=("s",), label="Sale", sentence="Say to which sale the refund under the cursor belongs", pages=("queue",), needs=(_P.REFUND_RESOLVE,)),
    Action(id="queue.dismiss", keys=("x",), label="Dismiss", sentence="Dismiss the refund under the cursor, or take it up again", pages=("queue",), needs=(_P.REFUND_RESOLVE,)),
    Action(id="queue.customer", keys=("o",), label="Customer", sentence="Open the customer of this row", pages=("queue",), needs=(_P.CUSTOMER_READ,)),
    Action(id="queue.tab1", keys=("1",), sentence="Show the adjustments that wait for a second person", pages=("queue",), needs=(_P.ADJUSTMENT_READ,)),
    Action(id="queue.tab2", keys=("2",), sentence="Show all adjustments, newest first", pages=("queue",), needs=(_P.ADJUSTMENT_READ,)),
    Action(id="queue.tab3", keys=("3",), sentence="Show refunds, first those that need a person", pages=("queue",), needs=(_P.REFUND_READ,)),
    Action(id="queue.tab_next", keys=("right", "right_square_bracket"), sentence="Go to the next list", pages=("queue",), in_palette=False),
    Action(id="queue.tab_back", keys=("left", "left_square_bracket"), sentence="Go to the list before", pages=("queue",), in_palette=False),
    Action(id="link.merge", keys=("f9",), label="Merge both", sentence="Merge this customer with the one whose POS record it is", pages=("link",), needs=(_P.CUSTOMER_MERGE,)),
    Action(id="links.open", keys=("enter",), label="Put right", sentence="Put the reason under the cursor right, or tell more of the record", pages=("links",), in_palette=False),
    Action(id="links.link", keys=("l",), label="Link", sentence="Link a further POS record", pages=("links",), needs=(_P.LINK_MAKE,)),
    Action(id="links.end", keys=("x",), label="End", sentence="End the link under the cursor, or refuse one that waits", pages=("links",), needs=(_P.LINK_ATTEST,)),
    Action(id="links.approve", keys=("a",), label="Approve", sentence="Approve the link under the cursor", pages=("links",), needs=(_P.LINK_ATTEST,)),
    Action(id="links.sync", keys=("s",), label="Fetch now", sentence="Fetch purchases from the tills now", pages=("links",), needs=(_P.CYCLE_RUN,)),
    Action(id="links.tab1", keys=("1",), sentence="Show why purchases are missing", pages=("links",)),
    Action(id="links.tab2", keys=("2",), sentence="Show the linked POS records", pages=("links",)),
    Action(id="links.tab_next", keys=("right", "right_square_bracket"), sentence="Go to the next list", pages=("links",), in_palette=False),
    Action(id="links.tab_back", keys=("left", "left_square_bracket"), sentence="Go to the list before", pages=("links",), in_palette=False),
    Action(id="tills.detail", keys=("enter",), label="Report", sentence="Show what came of this run, or what this row is about", pages=("tills",), in_palette=False),
    Action(id="tills.sync", keys=("s",), label="Sync now", sentence="Fetch from all till systems now", pages=("tills",), needs=(_P.CYCLE_RUN,)),
    Action(id="tills.link", keys=("l",), label="Link", sentence="Link the record of this match to its customer", pages=("tills",), needs=(_P.LINK_MAKE,)),
    Action(id="tills.merge", keys=("m",), label="Merge", sentence="Merge the customer of this match with the one whose record it is", pages=("tills",), needs=(_P.CUSTOMER_MERGE,)),
    Action(id="tills.settle", keys=("x",), label="Leave", sentence="Leave this match as it is, with a reason", pages=("tills",), needs=(_P.LINK_REVIEW,)),
    Action(id="tills.customer", keys=("o",), label="Customer", sentence="Open the customer of this match", pages=("tills",), needs=(_P.CUSTOMER_READ,)),
    Action(id="tills.tab1", keys=("1",), sentence="Show the runs with what each brought", pages=("tills",), needs=(_P.CYCLE_READ,)),
    Action(id="tills.tab2", keys=("2",), sentence="Show what tills told and could not be posted", pages=("tills",), needs=(_P.CYCLE_READ,)),
    Action(id="tills.tab3", keys=("3",), sentence="Show matches that somebody must decide", pages=("tills",), needs=(_P.CUSTOMER_READ,)),
    Action(id="tills.tab_next", keys=("right", "right_square_bracket"), sentence="Go to the next list", pages=("tills",), in_palette=False),
    Action(id="tills.tab_back", keys=("left", "left_square_bracket"), sentence="Go to the list before", pages=("tills",), in_palette=False),
    Action(id="claims.detail", keys=("enter",), label="Details", sentence="Show what became of this code", pages=("claims",), in_palette=False),
    Action(id="claims.issue", keys=("n",), label="New code", sentence="Make a claim code, which is shown once", pages=("claims",), needs=(_P.CLAIM_ISSUE,)),
    Action(id="claims.revoke", keys=("x",), label="End", sentence="End the code under the cursor", pages=("claims",), needs=(_P.CLAIM_ISSUE,)),
    Action(id="claim-issued.copy", keys=("c",), label="Copy", sentence="Copy the text to print into the clipboard", pages=("claim-issued",)),
    Action(id="claim-batches.detail", keys=("enter",), label="Details", sentence="Show how far this batch has come", pages=("claim-batches",), in_palette=False),
    Action(id="claim-batches.new", keys=("n",), label="New letters", sentence="Count who would get a letter with a claim code, and make the codes", pages=("claim-batches",), needs=(_P.CLAIM_BATCH,)),
    Action(id="claim-batches.write", keys=("w",), label="To file", sentence="Write the letters or the list of the batch under the cursor to a file, once", pages=("claim-batches",), needs=(_P.CLAIM_BATCH,)),
    Action(id="claim-batches.end", keys=("x",), label="End", sentence="End all codes of the batch under the cursor, as when letters were lost", pages=("claim-batches",), needs=(_P.CLAIM_BATCH,)),
    Action(id="privacy.detail", keys=("enter",), label="Details", sentence="Show what this row is about", pages=("privacy",), in_palette=False),
    Action(id="privacy.export", keys=("e",), label="Copy", sentence="Make a copy of everything held about the customer", pages=("privacy",), needs=(_P.CUSTOMER_EXPORT,)),
    Action(id="privacy.write", keys=("w",), label="To file", sentence="Write the copy under the cursor to a file", pages=("privacy",), needs=(_P.CUSTOMER_EXPORT,)),
    Action(id="privacy.erase", keys=("x",), label="Forget", sentence="Let the customer be forgotten", pages=("privacy",), needs=(_P.CUSTOMER_ERASE,)),
    Action(id="privacy.approve", keys=("a",), label="Approve", sentence="Approve the wish under the cursor", pages=("privacy",), needs=(_P.ERASURE_APPROVE,)),
    Action(id="privacy.cancel", keys=("c",), label="Cancel", sentence="Cancel the wish under the cursor", pages=("privacy",), needs=(_P.ERASURE_APPROVE,)),
    Action(id="privacy.settle", keys=("s",), label="By hand", sentence="Say that the person was removed by hand at the till", pages=("privacy",), needs=(_P.CUSTOMER_ERASE,)),
    Action(id="privacy.customer", keys=("o",), label="Customer", sentence="Open the customer of this wish", pages=("privacy",), needs=(_P.CUSTOMER_READ,)),
    # Everywhere.
    Action(id="app.back", keys=("escape",), label="Back", sentence="Go back", pages=(*_LISTS, *_FORMS), in_palette=False),
    Action(id="app.find", keys=("f2",), label="Find", sentence="Find a customer by name, phone, email or card", needs=(_P.CUSTOMER_SEARCH,), is_priority=True),
    Action(id="app.register", keys=("f3",), label="New", sentence="Register a new customer", needs=(_P.CUSTOMER_REGISTER,), is_priority=True),
    Action(id="app.orders", keys=("f4",), label="Orders", sentence="See sales that count for nobody, or find one by its receipt", needs=(_P.CUSTOMER_READ,), is_priority=True),
    Action(id="app.queue", keys=("ctrl+r",), label="Queue", sentence="See what waits for a person: adjustments and refunds", needs=(_P.ADJUSTMENT_READ, _P.REFUND_READ), is_priority=True),
    Action(id="app.duplicates", keys=("ctrl+d",), label="Duplicates", sentence="See customers who may be there twice, and merges", needs=(_P.MERGE_READ,), is_priority=True),
    Action(id="app.audience", keys=("f6",), label="Sync", sentence="See how the link to Mailchimp is doing", needs=(_P.AUDIENCE_READ,), is_priority=True),
    Action(id="app.tills", sentence="See the tills: runs, what was set aside, matches to decide", needs=(_P.CUSTOMER_READ, _P.CYCLE_READ)),
    Action(id="app.claim", sentence="Look up a claim code that somebody shows", needs=(_P.CLAIM_ISSUE,)),
    Action(id="app.claim_letters", sentence="Make letters with claim codes for everybody whom no email reaches", needs=(_P.CLAIM_BATCH,)),
    Action(id="app.privacy", sentence="See who asked to be forgotten, and by when it has to be done", needs=(_P.ERASURE_READ,)),
    Action(id="app.audit", keys=("f7",), label="Audit", sentence="See who changed what", needs=(_P.AUDIT_READ,), is_priority=True),
    Action(id="app.programmes", keys=("f8",), label="Programme", sentence="See the programme and its rules", needs=(_P.PROGRAMME_READ,), is_priority=True),
    Action(id="app.rewards", sentence="See the rewards catalogue and what points are worth", needs=(_P.PROGRAMME_READ,)),
    Action(id="app.reports", keys=("ctrl+g",), label="Reports", sentence="See reports: liability, breakage, points, late attaches, adjustments", needs=(_P.REPORT_READ,), is_priority=True),
    Action(id="app.refresh", keys=("f5",), label="Refresh", sentence="Ask the service again for what is on this screen", is_priority=True),
    Action(id="app.dark", sentence="Use the dark colours"),
    Action(id="app.light", sentence="Use the light colours"),
    Action(id="app.contrast", sentence="Use the high-contrast colours"),
    Action(id="app.lock", keys=("ctrl+l",), label="Lock", sentence="Lock the console; what you typed is kept", is_priority=True),
    Action(id="app.quit", keys=("ctrl+q",), label="Leave", sentence="Leave the console", is_priority=True),
    Action(id="app.help", keys=("f1", "question_mark"), sentence="Help for this screen"),
    Action(id="app.palette", keys=("ctrl+p",), sentence="Do anything: choose from all actions", in_palette=False, is_priority=True),
)  # fmt: skip

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}

_KEY_NAMES = {
    "enter": "⏎",
    "escape": "Esc",
    "question_mark": "?",
    "slash": "/",
    "space": "Space",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left": "←",
    "right": "→",
}


def key_name(key: str) -> str:
    """Return a key as it is written for people: ^S, F1, Esc, E."""
    if key.startswith("ctrl+"):
        return "^" + key.removeprefix("ctrl+").upper()
    if key in _KEY_NAMES:
        return _KEY_NAMES[key]
    return key.upper() if len(key) > 1 else key


def actions_on(page: str) -> list[Action]:
    """Return the actions of a page: its own first, then those that work everywhere."""
    own = [action for action in ACTIONS if page in action.pages]
    return own + [action for action in ACTIONS if not action.pages]
