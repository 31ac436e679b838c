"""The pages behind mailed links: opening one changes nothing and sends the token nowhere."""

import re

import pytest

from server.accounts.pages import read_file
from server.db.engine import DB
from server.sessions.links import Purpose
from tests.app import World, expect, problem


async def test_every_link_has_a_page_that_loads_only_from_us(world: World) -> None:
    for purpose in (*Purpose, "forgotten-password"):
        answer = await world.client.get(f"/links/{purpose}")
        assert answer.status_code == 200, purpose
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
        assert loaded == ["/pages/links.css", "/pages/links.js"], purpose
        assert "<script>" not in answer.text
        assert "style=" not in answer.text


@pytest.mark.parametrize(("name", "kind"), [("links.css", "text/css"), ("links.js", "text/javascript")])
async def test_what_a_page_loads_is_there(world: World, name: str, kind: str) -> None:
    answer = await world.client.get(f"/pages/{name}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.content == read_file(name)[1]


@pytest.mark.parametrize("path", ["/links/other", "/links/..%2f..", "/pages/link.html", "/pages/..%2froutes.py"])
async def test_there_is_nothing_else(world: World, path: str) -> None:
    assert problem(await world.client.get(path))[:2] == (404, "NOT_FOUND")


async def test_opening_a_link_changes_nothing(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test"), 202)
    mail = await world.mail_to("ana@shop.test", purpose="signup")
    path = mail.link.partition("#")[0].removeprefix(world.settings.public_url)
    for _ in range(2):
        assert (await world.client.get(path)).status_code == 200
    assert await DB.fetch_value("select count(*) from customer") == 0
    expect(await world.client.post("/v1/signup/confirm", json={"token": mail.token}), 201)


async def test_the_token_stands_where_browsers_keep_it_to_themselves(world: World) -> None:
    expect(await world.request_sign_up("ana@shop.test"), 202)
    mail = await world.mail_to("ana@shop.test", purpose="signup")
    assert mail.link == f"https://rewards.test/links/signup#{mail.token}"


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "Forwarded", "Origin", "Referer"])
async def test_links_are_built_from_the_settings_alone(world: World, header: str) -> None:
    value = "localhost:1234" if header == "Host" else "https://evil.example/"
    form = {"email": "ana@shop.test", "password": "wandering-teapot-71-gulls", "given_name": "Ana"}
    expect(await world.client.post("/v1/signup", json=form, headers={header: value}), 202)
    mail = await world.mail_to("ana@shop.test", purpose="signup")
    assert mail.link.startswith("https://rewards.test/links/")
    assert "evil.example" not in mail.message.as_string()
