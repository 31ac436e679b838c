"""Numbers with their units and reasons. A literal other than 0 or 1 in a rule belongs here."""

from datetime import UTC, datetime, timedelta

# Text -----------------------------------------------------------------------------------------------------------------
NAME_LENGTH_MAX = 80
EMAIL_LENGTH_MAX = 254  # RFC 5321, 4.5.3.1.3
PHONE_LENGTH_MAX = 32  # E.164 has 15 digits; people add spaces, dashes and brackets.
PASSWORD_LENGTH_MAX = 256  # Code points; far above the 64 that NIST 800-63B asks to accept.
PASSWORD_BYTES_MAX = 1024  # What is handed to Argon2 at most.
PASSWORD_SCORE_MIN = 3  # zxcvbn's "safely unguessable": ten to the eighth guesses or more.
PASSWORD_OWN_LETTERS_MIN = (
    5  # Different letters and digits that stand beside names and the shop's words: more than a year.
)
PASSWORD_GUESSED_LENGTH = 24  # Letters whose strength is estimated first; takes 10 ms at most.
REASON_LENGTH_MAX = 500
SEARCH_LENGTH_MAX = 254
DEVICE_LENGTH_MAX = 120

# Requests -------------------------------------------------------------------------------------------------------------
BODY_BYTES_MAX = 64 * 1024
BATCH_BYTES_MAX = 4 * 1024 * 1024  # 500 sales of about 40 lines.
JSON_DEPTH_MAX = 32
VERSION_MAX = 2**31 - 1  # What an integer column holds.
PAGE_SIZE = 50
PAGE_SIZE_MAX = 200
IDEMPOTENCY_KEY_PATTERN = r"^[A-Za-z0-9_-]{16,64}$"
IDEMPOTENCY_KEPT = timedelta(days=30)

# Orders ---------------------------------------------------------------------------------------------------------------
ORDER_LINES_MAX = 200
ORDER_BATCH_MAX = 500
REFUND_PARKED_MAX = timedelta(days=7)  # How long a refund waits for its sale before a person is asked to look.
MONEY_MINOR_MAX = 1_000_000_000  # Ten million in a currency with cents: above any till receipt.
ORDER_POINTS_MAX = 10_000_000
MANAGER_ASSIGN_DAYS = 90  # Within which a manager may still give an order to somebody.
LATE_POINTS_MAX = 500  # Of an order that a cashier may give to somebody after the sale; more is for a manager.
RECORD_DAY_POINTS_MAX = 2_000  # Of sales that a cashier may write down by hand in 24 hours: four large ones.
ORDER_COMPLETED_FROM = datetime(2000, 1, 1, tzinfo=UTC)  # Older sales are typing errors, and years near 1 have no UTC.
ORDER_AHEAD_MAX = timedelta(minutes=10)  # Till clocks run ahead a little; a sale cannot be from tomorrow.

# POS records ----------------------------------------------------------------------------------------------------------
POS_RECORD_BATCH_MAX = 500
POS_ALIASES_MAX = 50  # Records merged into one; tills show a handful.
POS_FORMER_EMAILS_MAX = 10
LINK_ADDRESS_AGE_MIN = timedelta(hours=24)  # An address must be on a record this long before it links by itself.
LINK_ADDRESS_FRESH = timedelta(days=30)  # A link by an address younger than this is told to older addresses.
LINK_DISPUTE_HOLD = timedelta(days=7)  # For which points cannot be spent after somebody said that a link is not theirs.
LINK_HOLD = timedelta(hours=72)  # For which such a link keeps points from being spent.
LINK_POINTS_ALONE_MAX = 5_000  # What one person may link; more is for two.
LINK_ORDERS_MAX = 1_000  # Of one record, posted at once; a job goes on with the others.
LINK_TAKE_BACK_MAX = 50  # Of one record, taken back at once, one after the other; a job goes on here too.
LINK_CHECKED_OFTEN = timedelta(days=30)  # After which a member without a record is looked up monthly.
LINK_CHECK_MONTHLY = timedelta(days=30)
LINK_RETRY_FIRST = timedelta(minutes=1)
LINK_RETRY_MAX = timedelta(hours=6)
LINK_PROBE_EVERY = timedelta(minutes=5)  # How often a till that is silent is asked about somebody who waits for it.
CYCLE_EVERY = timedelta(hours=1)
CYCLE_OVERLAP = timedelta(hours=48)  # Tills send late what they took while offline.
CYCLE_LATE = timedelta(hours=24)
CYCLE_LEASE = timedelta(minutes=10)
CYCLE_PAGES_MAX = 10_000  # Of one run: a million profiles. More is told as a failure, and the next run goes on.
CYCLES_SHOWN_MAX = 50
HOOK_BYTES_MAX = 1024 * 1024
HOOK_EVENTS_KEPT = timedelta(days=7)  # Square repeats an event for three days.
POS_CALL_SECONDS = 10.0
POS_SEARCH_SECONDS = 2.0  # Staff wait for this.

# Sessions -------------------------------------------------------------------------------------------------------------
ACCESS_TOKEN_LIFE = timedelta(minutes=15)
SESSION_IDLE_MAX = timedelta(days=14)
SESSION_LIFE_MAX = timedelta(days=30)  # NIST 800-63B-4 2.1.3 allows 30 days at its lowest level.
REFRESH_REPLAY_WINDOW = timedelta(seconds=10)  # A lost answer may be asked for again this long.
STEP_UP_LIFE = timedelta(minutes=10)
STAFF_SESSION_LIFE = timedelta(hours=8)
STAFF_SESSION_IDLE_MAX = timedelta(minutes=60)

# Mailed links ---------------------------------------------------------------------------------------------------------
SIGNUP_LINK_LIFE = timedelta(hours=24)
PASSWORD_RESET_LINK_LIFE = timedelta(minutes=30)
EMAIL_CHANGE_LINK_LIFE = timedelta(hours=24)
INVITATION_LINK_LIFE = timedelta(days=7)
NOT_ME_LINK_LIFE = timedelta(days=7)

# Mail -----------------------------------------------------------------------------------------------------------------
SMTP_TIMEOUT_SECONDS = 20.0
MAIL_EVENTS_MAX = 100  # In one report.
MAIL_EVENT_ID_MAX = 200
MAIL_HOOK_WINDOW = timedelta(minutes=5)  # How old a report's signature may be; ids are remembered longer.
MAIL_KEPT_TRYING = timedelta(days=3)  # As long as a mail server of good manners tries.

# Email changes --------------------------------------------------------------------------------------------------------
EMAIL_CHANGES_MAX = 3
EMAIL_CHANGES_WINDOW = timedelta(days=30)
EMAIL_CHANGE_UNDO = timedelta(days=7)
REDEMPTION_STEP_POINTS = 100  # So many points take so much off a sale, as long as nobody set anything else.
REDEMPTION_STEP_MINOR = 100
REDEMPTION_HOLD = timedelta(hours=24)
CORRECTION_UNDO = timedelta(hours=24)
OVERRIDE_REQUEST_LIFE = timedelta(hours=24)  # In which a second person approves it.
OVERRIDE_DELAY = timedelta(hours=72)  # Over a weekend, so that whoever reads the old mailbox can stop it.
OVERRIDE_LATE_MAX = timedelta(days=7)  # After which a correction that could not be carried out is asked for anew.

# Wrong guesses --------------------------------------------------------------------------------------------------------
SIGN_IN_TRIES = 10
SIGN_IN_WINDOW = timedelta(minutes=5)
WAIT_DOUBLINGS = 5  # Five minutes become two hours and forty minutes.
WAIT_MEMORY = timedelta(hours=24)
ACCOUNT_TRIES = 100  # NIST 800-63B-4 3.2.2; counts only networks the member has never signed in from.
ACCOUNT_WINDOW = timedelta(days=1)
NETWORK_TRIES = 30
NETWORK_WINDOW = timedelta(minutes=1)
MAILS_PER_ADDRESS = 5
MAILS_WINDOW = timedelta(days=1)
FORMS_PER_NETWORK = 60
FORMS_WINDOW = timedelta(hours=1)

# Search ---------------------------------------------------------------------------------------------------------------
SEARCH_LETTERS_MIN = 2
SEARCH_DIGITS_MIN = 3
SEARCH_ROWS_MAX = 50
NAME_KEY_WORDS_MAX = 8  # A name of more words is found by its first eight.

# Customers opened by one cashier, each counted once: more than anybody serves, fewer than it takes to copy the file.
VIEWS_MAX = 60
VIEWS_WINDOW = timedelta(hours=1)

# Cards ----------------------------------------------------------------------------------------------------------------
CARD_PREFIX = "29"  # GS1 numbers 20 to 29 are for use inside a shop, so no product carries them.
CARD_LENGTH = 14  # Prefix, eleven random digits, one check digit: a guess hits one card in 100,000 of a million.

# Lapsing points -------------------------------------------------------------------------------------------------------
EXPIRY_NOTICE_DAYS = (30, 7)  # Time to plan a visit, and a last reminder.
EXPIRY_NOTICE_SPAN = timedelta(days=7)  # One mail tells of a whole week, as whoever buys daily has points lapse daily.
QUIET_FROM_HOUR = 20  # Local hours between which no notice leaves: a telephone may lie beside a bed.
QUIET_UNTIL_HOUR = 9

QUEUE_COUNT_MAX = 100  # Beyond that it is "many": the first ones have to be worked on whatever the number.

# Adjustments ----------------------------------------------------------------------------------------------------------
# What one person may give or take without a second one; sums are of absolute points, so that plus and minus do not cancel.
ADJUST_POINTS_MAX = 1_000_000  # Above any real mistake; with more, a balance brought over is meant.
ADJUST_NOTE_LENGTH_MIN = 10  # "correction" and "other" explain nothing by themselves.
ADJUST_MONTH = timedelta(days=30)
ADJUST_DAY = timedelta(hours=24)
ADJUST_CASHIER_EACH = 100  # A cup of coffee or a missed receipt.
ADJUST_CASHIER_DAY = 500
ADJUST_CASHIER_MONTH = 5_000  # Ten full days of thirty; more is a habit and not goodwill.
ADJUST_CASHIER_MEMBER_DAY = 200  # Two acts, whoever of the staff made them: colleagues cannot split a large one.
ADJUST_CASHIER_MEMBER_MONTH = 500
ADJUST_CASHIER_STORE_DAY = 2_000  # Four cashiers at their limit.
ADJUST_MANAGER_EACH = 5_000
ADJUST_MANAGER_DAY = 20_000
ADJUST_MANAGER_MONTH = 200_000
ADJUST_MANAGER_MEMBER_DAY = 10_000
ADJUST_MANAGER_MEMBER_MONTH = 30_000
ADJUST_MANAGER_STORE_DAY = 40_000  # Two managers at their limit.
ADJUST_REQUEST_LIFE = timedelta(hours=24)
ADJUST_UNDO_OWN = timedelta(seconds=60)  # As long as the console's status line offers it.
ADJUST_UNDO = timedelta(hours=24)  # By a manager.
ADJUST_RESTORE_GRACE = timedelta(days=30)  # For points that lapsed between being taken and given back.

# Sharing --------------------------------------------------------------------------------------------------------------
SHARING_PEOPLE_MAX = 50  # Of both memberships together; a programme's own limit is far lower.
SHARING_UNDO = timedelta(days=30)
SHARING_INVITATION_LIFE = timedelta(days=7)
SHARING_INVITATIONS_MAX = 10  # Open ones of a membership: more would be a way to send mail to strangers.

# Merges ---------------------------------------------------------------------------------------------------------------
MERGE_UNDO = timedelta(days=30)
MERGE_POINTS_MAX = 5_000  # Of the absorbed customer; more takes a second person, as with an adjustment by a manager.
MERGE_REQUEST_LIFE = timedelta(hours=24)
MERGE_DISPUTE_HOLD = timedelta(days=7)
MERGE_OLDER_ORDERS_MAX = 500

# Claim codes ----------------------------------------------------------------------------------------------------------
CLAIM_CODE_LENGTH = 16  # Fifteen random characters, 75 bits, and one check character.
CLAIM_CODE_TYPED_MAX = 300  # With blanks and dashes, or the whole link of a QR code.
CLAIM_TRIES = 5  # Refused ones of a member in the window below.
CLAIM_NETWORK_TRIES = 20
CLAIM_WINDOW = timedelta(hours=1)
CLAIM_PAUSE = timedelta(hours=24)
CLAIM_MISSES_ALARM = 200  # Of everybody within the window: somebody guesses from many accounts.
CLAIM_WRONG_CHECKS_MAX = 5  # Of one code, by whomever, before it is void: a letter was stolen.
CLAIM_BATCH_MAX = 2_000  # By a request; `regulars claim batch` takes more.
CLAIM_FILES_LIFE = timedelta(hours=24)  # In which the files of a batch are written, each once.
CLAIM_REFUSALS_SHOWN_MAX = 20

# Registration at the till ---------------------------------------------------------------------------------------------
POSTAL_ADDRESS_LENGTH_MAX = 300
POST_CODE_LENGTH_MAX = 16
REGISTER_OFFLINE_MAX = timedelta(days=7)  # How late a till that was offline may send a registration.
REGISTER_ORDER_MAX = timedelta(hours=24)  # How old the sale may be at which a customer registers.
REGISTER_CLOCK_AHEAD_MAX = timedelta(minutes=10)
INVITATION_TEXT_AFTER = timedelta(minutes=15)  # A mail that has not left by then is followed by a text.
DUPLICATE_ROWS_MAX = 5
DUPLICATE_BRANCH_ROWS = 200  # Looked at for each way of being near: a tower block has one post code.

# Privacy --------------------------------------------------------------------------------------------------------------
EXPORT_LIFE = timedelta(days=7)
EXPORTS_MAX = 3  # Of one person in the window below; making one reads everything that is held.
EXPORTS_WINDOW = timedelta(days=1)
DORMANT_YEARS_MAX = 20
DORMANT_BATCH_MAX = 200  # People at once: each is mailed and written down in the same transaction.
DORMANT_COUNTED_MAX = 10_000  # Whoever has more of them need not wait until all are counted.
DORMANT_SHOWN = 20
DORMANT_NOTICE = timedelta(days=21)  # To come back in; within the month in which what was begun has to be done.

# Rewards --------------------------------------------------------------------------------------------------------------
VOUCHER_CODE_LENGTH = 12  # Eleven random characters, 55 bits, and one check character.
POINTS_MAX = 1_000_000_000  # Of one movement; far above any balance.
REWARD_STOCK_MAX = 1_000_000
REWARD_VALID_DAYS_MAX = 3_650
REWARDS_MAX = 500  # Rewards in a catalogue.
HOLD_IDLE_MAX = timedelta(minutes=15)  # As long as somebody may look for a purse.
HOLD_LAST_SECONDS = timedelta(seconds=5)  # In which a hold cannot be prolonged any more.
HOLD_CAPTURE_LATE_MAX = timedelta(hours=24)  # A till that was offline books its day's payments by then.
PRESENCE_STEP_SECONDS = 30
PRESENCE_STEPS_BACK = 1  # A code may be typed for as long again as it was shown.
PRESENCE_DIGITS = 8
PRESENCE_TRIES = 10
SMS_CODE_DIGITS = 6
SMS_CODE_LIFE = timedelta(minutes=10)
SMS_CODE_TRIES = 5  # Of a million codes, before it is worthless.
SMS_CODES_MAX = 3  # Texts to one member in the window below: each costs money, and none is wanted by who is not there.
SMS_CODES_WINDOW = timedelta(minutes=15)
PRESENCE_WINDOW = timedelta(minutes=5)
