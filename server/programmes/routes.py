"""HTTP of programmes."""

from uuid import UUID

from server.http import Call, operation
from server.programmes import editing, service
from shared.programmes import RulesPreview, RulesProposal, RulesPublication, RuleVersionList, RuleVersionView
from shared.staff import ProgrammeList


@operation("list_programmes")
async def list_programmes(call: Call) -> ProgrammeList:
    """List programmes and the rules in force."""
    return await service.list_views(call.ctx.now)


@operation("list_rule_versions")
async def list_rule_versions(call: Call) -> RuleVersionList:
    """List all versions of a programme's rules, newest first."""
    return await editing.list_rule_versions(_programme_id(call), call.ctx.now)


@operation("preview_rules")
async def preview_rules(call: Call) -> RulesPreview:
    """Try new rules, or an old version, on past sales: what they would have earned, by store and month. Changes nothing."""
    return await editing.preview_rules(call.ctx, _programme_id(call), call.message(RulesProposal))


@operation("publish_rules")
async def publish_rules(call: Call) -> RuleVersionView:
    """Put previewed rules in force, now or later, as a new version; one taken from an old version is a roll-back."""
    return await editing.publish_rules(call.ctx, _programme_id(call), call.message(RulesPublication))


def _programme_id(call: Call) -> UUID:
    programme_id: UUID = call.request.path_params["programme_id"]
    return programme_id
