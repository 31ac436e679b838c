from tests.app import World


async def test_smoke(world: World) -> None:
    member = await world.sign_up()
    answer = await world.client.get("/v1/me", headers=member.headers)
    assert answer.status_code == 200
    print(answer.json(), member)
