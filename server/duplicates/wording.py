"""The evidence in words."""

from typing import Final

from server.duplicates.scoring import Sign

UNDONE_NOTE: Final = "The merge of the two was taken back."

WORDS: Final[dict[Sign, str]] = {
    Sign.GIVEN_SAME: "The same given name.",
    Sign.GIVEN_PART: "One given name is a part of the other.",
    Sign.GIVEN_SHORT: "One given name is a form of the other.",
    Sign.GIVEN_NEAR: "The given names differ by a slip of the pen.",
    Sign.GIVEN_INITIAL: "One given name is the other's initial.",
    Sign.GIVEN_RELATIVE: "The given names are alike, but those of two people.",
    Sign.GIVEN_OTHER: "Different given names.",
    Sign.FAMILY_SAME: "The same family name.",
    Sign.FAMILY_PART: "One family name is a part of the other.",
    Sign.FAMILY_NEAR: "The family names differ by a slip of the pen.",
    Sign.FAMILY_OTHER: "Different family names.",
    Sign.NAMES_TURNED: "Given and family name are written the other way round.",
    Sign.NAME_RARE: "Hardly anybody else has this name.",
    Sign.NAME_USUAL: "Few others have this name.",
    Sign.NAME_COMMON: "Many others have this name.",
    Sign.GENERATION_OTHER: "One is called junior or senior, the other is not.",
    Sign.EMAIL_SAME: "The same email address.",
    Sign.EMAIL_FOLDED: "The same mailbox: the addresses differ only by dots or what follows a plus sign.",
    Sign.EMAIL_SLIP: "The email addresses differ by a slip of the pen.",
    Sign.EMAIL_NEAR_NAME: "The email addresses are alike, as those of people of alike names are.",
    Sign.EMAIL_ELSEWHERE: "The same unusual name of a mailbox at two providers.",
    Sign.EMAIL_NAME_ELSEWHERE: "The same name of a mailbox at two providers.",
    Sign.EMAIL_OTHER: "Different email addresses.",
    Sign.EMAILS_PROVEN: "Each has proven an email address of their own.",
    Sign.PHONE_SAME: "The same phone number.",
    Sign.PHONE_NEAR: "The phone numbers differ by one digit.",
    Sign.PHONE_OTHER: "Different phone numbers.",
    Sign.PHONES_PROVEN: "Each has proven a phone number of their own.",
    Sign.BIRTHDAY_SAME: "The same date of birth.",
    Sign.BIRTHDAY_DAY_SAME: "The same birthday; a year is not known.",
    Sign.BIRTHDAY_TURNED: "The same date of birth with day and month the other way round.",
    Sign.BIRTHDAY_SLIP: "The dates of birth differ by one slip.",
    Sign.BIRTH_YEAR_OTHER: "The same birthday in another year.",
    Sign.BIRTHDAY_AGE: "Different birthdays, but not those of a parent and a child.",
    Sign.BIRTHDAY_OTHER: "Different birthdays.",
    Sign.ADDRESS_SAME: "The same postal address.",
    Sign.ADDRESS_NEAR: "Nearly the same postal address.",
    Sign.POST_CODE_SAME: "The same post code.",
    Sign.POST_CODE_OTHER: "Different post codes.",
    Sign.RECORD_SAME: "The same record of the till fits both.",
    Sign.MEMBERSHIP_SAME: "They share a membership as two people.",
    Sign.KIND_OTHER: "One is a person, the other a business.",
}
