"""What Square needs is asked for together, and nothing is sent in clear to a stranger."""

import pytest

from server.settings import SettingsError
from server.settings_reading import load

GOOD = {
    "REGULARS_TEST_PROFILE": "true",
    "REGULARS_POS": "square",
    "REGULARS_SQUARE_ACCESS_TOKEN": "EAAA-token",
    "REGULARS_SQUARE_LOCATIONS": "L1=high-street, L2=station",
}


def test_good_settings_make_the_webhooks_address() -> None:
    settings = load(GOOD)
    assert settings.square_locations == ("L1=high-street", "L2=station")
    assert settings.square_hook_url == "http://127.0.0.1:8700/hooks/square"
    assert "EAAA-token" not in repr(settings)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"REGULARS_SQUARE_ACCESS_TOKEN": ""}, "SQUARE_ACCESS_TOKEN"),
        ({"REGULARS_SQUARE_LOCATIONS": ""}, "SQUARE_LOCATIONS"),
        ({"REGULARS_SQUARE_LOCATIONS": "L1"}, "SQUARE_LOCATIONS"),
        ({"REGULARS_SQUARE_LOCATIONS": "L1=a,L1=b"}, "SQUARE_LOCATIONS"),
        ({"REGULARS_SQUARE_BASE_URL": "http://square.example"}, "SQUARE_BASE_URL"),
        ({"REGULARS_SQUARE_BASE_URL": "ftp://127.0.0.1"}, "SQUARE_BASE_URL"),
        ({"REGULARS_POS": "odoo"}, "POS"),
    ],
)
def test_what_is_missing_or_unsafe_is_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(GOOD | change)
    assert [problem.source for problem in refused.value.problems] == [f"REGULARS_{named}"]
