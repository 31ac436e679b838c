"""HTTP of programmes."""

from server.http import Call, operation
from server.programmes import editing, managing, service
from shared.programmes import (
    NewProgramme,
    ProgrammeChange,
    ProgrammeClosing,
    ProgrammeOpening,
    ProgrammeStanding,
    RulesPreview,
    RulesProposal,
    RulesPublication,
    RuleVersionList,
    RuleVersionView,
)
from shared.staff import ProgrammeList, ProgrammeView


@operation("list_programmes")
async def list_programmes(call: Call) -> ProgrammeList:
    """List programmes and the rules in force."""
    return await service.list_views(call.ctx.now)


@operation("create_programme")
async def create_programme(call: Call) -> ProgrammeView:
    """Make a further programme with its first rules. An order earns in the programme of the card that it names."""
    return await managing.create_programme(call.ctx, call.message(NewProgramme))


@operation("get_programme")
async def get_programme(call: Call) -> ProgrammeView:
    """Show a programme, its settings and the rules in force."""
    return await managing.get_view(call.ctx, call.path_id("programme_id"))


@operation("change_programme")
async def change_programme(call: Call) -> ProgrammeView:
    """Change names and settings, from now on; points that were earned or spent before stay as they are."""
    return await managing.change_programme(call.ctx, call.path_id("programme_id"), call.message(ProgrammeChange))


@operation("preview_programme_closing")
async def preview_programme_closing(call: Call) -> ProgrammeStanding:
    """Show what the members of a programme have and a closing would leave them. Changes nothing."""
    return await managing.preview_closing(call.ctx, call.path_id("programme_id"))


@operation("close_programme")
async def close_programme(call: Call) -> ProgrammeView:
    """Close a programme as previewed: nobody joins and nothing earns; points stay until they are spent or lapse."""
    return await managing.close_programme(call.ctx, call.path_id("programme_id"), call.message(ProgrammeClosing))


@operation("open_programme")
async def open_programme(call: Call) -> ProgrammeView:
    """Open a closed programme again; sales made meanwhile stay without points."""
    return await managing.open_programme(call.ctx, call.path_id("programme_id"), call.message(ProgrammeOpening))


@operation("list_rule_versions")
async def list_rule_versions(call: Call) -> RuleVersionList:
    """List all versions of a programme's rules, newest first."""
    return await editing.list_rule_versions(call.path_id("programme_id"), call.ctx.now)


@operation("preview_rules")
async def preview_rules(call: Call) -> RulesPreview:
    """Try new rules, or an old version, on past sales: what they would have earned, by store and month. Changes nothing."""
    return await editing.preview_rules(call.ctx, call.path_id("programme_id"), call.message(RulesProposal))


@operation("publish_rules")
async def publish_rules(call: Call) -> RuleVersionView:
    """Put previewed rules in force, now or later, as a new version; one taken from an old version is a roll-back."""
    return await editing.publish_rules(call.ctx, call.path_id("programme_id"), call.message(RulesPublication))
