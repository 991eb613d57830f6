"""What `/api/config` answers: what a sidecar has in force, without its secrets."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from exporter.promotion import OWNERS, TYPES, Promotion
from exporter.settings import LISTS, Settings
from exporter.sidecar import Sidecar
from queries.answers_config import Configuration, Overrides, OwnerLists, PromotedKeys, RedactionLists, SettingInForce

_NANO = 1_000_000_000
_DATABASE = re.compile(r"(postgres(?:ql)?://)(?:[^@/?#]*@)?([\w.:,\[\]%-]*(?:/[^?#@]*)?)(?:\?[^@#]*)?", re.ASCII)
"""The parts of a URL without its user and password, and what its query may repeat of these."""


def configuration(sidecar: Sidecar) -> Configuration:
    """What is in force just now."""
    overrides = sidecar.overrides
    return Configuration(
        _moment(sidecar.started_unix_nano),
        sidecar.started_unix_nano,
        _moment(overrides.since_unix_nano),
        overrides.since_unix_nano,
        Overrides(str(overrides.path) if overrides.path else None, overrides.state.name, [*overrides.state.problems]),
        list(_lists(overrides.promotion)),
        _redaction(overrides.promotion),
        list(_settings(sidecar.settings)),
    )


def _moment(unix_nano: int) -> datetime:
    return datetime.fromtimestamp(unix_nano / _NANO, UTC)


def _lists(promotion: Promotion) -> Iterator[OwnerLists]:
    for owner in OWNERS:
        promoted = sorted(promotion.promoted[owner].items())
        by_type = PromotedKeys(**{name: [key for key, types in promoted if name in types] for name in TYPES})
        yield OwnerLists(owner, by_type, promotion.dropped(owner).written())


def _redaction(promotion: Promotion) -> RedactionLists:
    bodies = promotion.bodies
    members, expressions = ([], 0) if bodies is None else (bodies.members.written(), len(bodies.expressions))
    return RedactionLists(promotion.hashed.written(), members, expressions)


def _settings(settings: Settings) -> Iterator[SettingInForce]:
    for key, given in sorted(settings.given):
        items = [", ".join(f"{name}: {of_item.text}" for name, of_item in layer.items()) for _, layer in given.items]
        text = f"[{', '.join(f'{{{item}}}' for item in items)}]" if key in LISTS else given.text
        shown = without_password(text) if key == "database_url" else text
        yield SettingInForce(key, shown, None if given.is_default else given.origin)


def without_password(url: str) -> str:
    """A database's URL without user, password and options; of one that is not plain, only what it is."""
    found = _DATABASE.fullmatch(url)
    if found is None:
        return url if url == "none" else "postgresql://…"
    return found[1] + found[2]
